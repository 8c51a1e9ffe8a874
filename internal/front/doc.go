// Package front is the UDP door of the gateway: nothing is kept for a peer before it has proven its address, and no
// goroutine is kept for a session that is idle.
//
// # The cookie
//
// A datagram that belongs to nobody is dropped in silence, unless it is one well-formed, unfragmented ClientHello. That is
// answered by a HelloVerifyRequest (RFC 6347, Section 4.2.1) whose cookie follows from a secret, the peer's address and the
// hello's core parameters; so whatever a stranger sends costs a hash, and brings at most half as many bytes back. The secret's
// key changes every minute by itself, the same on all nodes that have the secret. Only a ClientHello with its cookie opens a
// handshake, within the limits for its prefix and for all.
//
// # The hand-over
//
// The handshake is the business of the DTLS library, as it is published, and the library insists on an exchange of cookies of
// its own, for which it keeps state. It is given one:
//
//  1. It is shown the first ClientHello, made of the second one: without the cookie, the message and the record before it.
//  2. The HelloVerifyRequest that it writes is not sent. Under that write, on the library's own goroutine, the cookie in its
//     state is overwritten with ours, after a look whether it is the one that it has just written.
//  3. Then it is shown the real ClientHello, whose cookie it finds right. From there on it talks with the peer, its plaintext
//     records renumbered so that the ServerHello has the number of the ClientHello, as if there had been no front.
//
// The cookie in its state is a private field, reached by reflection that needs no unsafe: reflect lends byte slices. That
// rests on the library staying as it is, and so there are guards: the shape of its types is checked; SelfTest plays an
// exchange in memory at every start, with the options of real handshakes; and every hand-over compares before it writes.
// If the self-test fails the front is a gate: the library does its own exchange while few handshakes are unproven, and when there are
// many an unknown address must come with our cookie first, for which the client tries twice. The operator is told.
//
// # Who gets a datagram
//
// A record with a connection ID (RFC 9146) goes to whoever was given it, from wherever it comes. Otherwise the pair of addresses
// decides, and there may be two: a session, and a handshake of a client that has lost its state (RFC 6347, Section 4.2.8), which
// takes the session's place when it is over and not before. What is in the clear goes to the handshake only, so that nobody
// can disturb a session with it.
//
// # What a proven peer may cost
//
// How many handshakes are under way is bounded, for one prefix and for all; the newest one takes the place of the oldest. How fast one
// prefix begins them is bounded, and what the library is fed in each (association.go). Half of the processors' worth of them is
// worked for at a moment: a handshake takes a slot with the datagram that the library gets, and leaves it when the library asks for
// the next. So established traffic never waits behind a crowd. Under pressure (Config.Pressure) cookies that are not ours get no
// answer, and then no handshake begins.
//
// # After the handshake
//
// With the first record that the peer has protected after its Finished, the session is taken over from the library where its
// suite is one of AES-GCM (takeover.go): its records are opened on the goroutine that reads the network, and sealed on
// that of whoever writes. Before that, and with other suites or Config.RecordPath Pion, the library does it, and has five
// goroutines.
//
// A peer with a connection ID may move. Its new address gets no more than three times of what came from there until it is
// confirmed, which the layer above does by asking the peer something (Config.Moved, Conn.Confirm).
//
// A session may go on in another process (Conn.Export, Front.Resume): here nothing is sealed from then on, so that no nonce
// comes twice, and there it begins as one that was taken over.
package front
