// Package ctl is a DOTS client for detectors, scripts and people: one session, the requests of the signal channel, and the
// command line around them.
package ctl
