// Package record is the DTLS 1.2 record layer for sessions whose handshake the library has finished (RFC 6347,
// Section 4.1): it seals and opens records with the exported keys, without goroutine, lock or clock.
//
// Export takes the keys and counters out of the library's state, New makes a Layer of them, and Layer.State takes them out
// again, to hand a session to another process. Keys and counters are good for one owner at a time: a number that two owners
// seal with gives AES-GCM's authentication key away. So whoever was exported must never send again. A Layer keeps to that
// by itself, since it refuses everything after State; the library does not, and must be silenced before Export.
//
// AES-GCM is done here; sessions with another suite stay with the library (ErrSuite).
package record
