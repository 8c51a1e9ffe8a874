// Package record is the DTLS 1.2 record layer for sessions whose handshake the library has finished (RFC 6347,
// Section 4.1): it seals and opens records with the exported keys, without goroutine, lock or clock.
package record
