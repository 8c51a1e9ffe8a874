package record

// What must be mended in what goes to the library and comes from it, at either end of a session.

// ForLibrary drops, in place, the plaintext records that the library must not see, because one of them, which anybody can
// forge, would end the association: application data in the clear during the handshake, and everything in the clear once it
// is over, which settled says (a peer that repeats its last flight is recognised by the protected record in it). cidLength is as
// for Next.
func ForLibrary(b []byte, settled bool, cidLength int) []byte {
	kept := 0
	for r, rest := Next(b, cidLength); r != nil; r, rest = Next(rest, cidLength) {
		if Epoch(r) != 0 || !settled && isOfHandshake(ContentType(r[0])) {
			kept += copy(b[kept:], r)
		}
	}
	return b[:kept]
}

// isOfHandshake reports what may come in the clear while keys are agreed on.
func isOfHandshake(kind ContentType) bool {
	return kind == Handshake || kind == ChangeCipherSpec || kind == Alert
}

// UnwrapAlert mends an alert of an unfinished handshake. When the peer has asked for a connection ID the library puts
// even an unprotected alert into a record with one, which no peer understands (RFC 9146, Section 3: such records are
// protected ones), so that the peer would wait for its time-out. Any other datagram is returned as it is.
func UnwrapAlert(b []byte) []byte {
	n := len(b)
	if n < headerSize+3 || ContentType(b[0]) != ConnectionID || Epoch(b) != 0 || ContentType(b[n-1]) != Alert {
		return b
	}
	out := make([]byte, 0, headerSize+alertSize)
	out = append(out, byte(Alert))
	out = append(out, b[1:headerSize-2]...)
	return append(out, 0, alertSize, b[n-3], b[n-2])
}
