// Package aaa asks a server of the operator's whether a client may have what it asks for: over RADIUS, or by an HTTP hook in
// the shape of the Open Policy Agent. It keeps what it was told for a while, asks the same question once at a time, and says what
// holds while the server is silent.
package aaa
