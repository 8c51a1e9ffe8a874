// Package dots is the vocabulary of the gateway: what a mitigation, a target, a report and a refusal are, whatever the wire.
//
// It imports the standard library only. Every type is a value that may be copied; slices inside are read-only once
// a value has been handed on, so a copy may share them. Nothing here is safe for concurrent mutation.
package dots
