// Package app wires the gateway: it builds every part from a configuration, joins them at their seams, runs them and stops them.
package app
