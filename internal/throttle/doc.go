// Package throttle counts by source address in tables of fixed size: token buckets, and caps on what is held at once.
package throttle
