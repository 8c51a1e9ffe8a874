// Package interop tests the gateway as a whole against peers that others have written: the programs of libcoap and OpenSSL, and FreeRADIUS.
//
// All of it is in test files with the build tag interop; `make interop` runs them.
package interop
