package dots

import "time"

// Ask is a mitigation request on its way into the core, with what its session says of it.
type Ask struct {
	Client  Client
	Request Request
	// HopLimit is what may be forwarded: the received value, or the initial one, less one (RFC 8768, Section 3).
	HopLimit uint8
	// OwnCUID is the cuid that the session's credential gives, whichever cuid the client goes by: nobody else can have proved it
	// (RFC 9132, Section 4.4.1.1).
	OwnCUID string
	// Efficacy marks an efficacy update (RFC 9132, Section 4.4.3).
	Efficacy bool
	// Update lets a known mid carry other parameters, as draft04 allows.
	Update bool
}

// Answer is what the core grants to an Ask.
type Answer struct {
	Code     Code // CodeCreated or CodeChanged; CodeSilent: no answer at all (efficacy update of an unknown mid)
	MID      uint32
	Lifetime Lifetime
	Conflict Maybe[Conflict]
}

// Leg is a mitigation request as it is to stand at an uplink: a level, not an edge. The uplink's session makes it so, and
// repeats until it is answered.
type Leg struct {
	Key      LegKey
	Request  Request // what to PUT; MID repeats Key.MID
	HopLimit uint8   // 1 to 255
	CDID     string  // inserted before cuid; empty: none
	// Withdraw says that nothing is to stand under this key: DELETE it.
	Withdraw bool
	// Efficacy sends the PUT as an efficacy update (Request.Attack).
	Efficacy bool
	// Revision grows each time that the uplink is to be told again; the answer repeats it.
	Revision uint64
}

// LegAnswer is an uplink's answer to a leg's PUT or DELETE.
type LegAnswer struct {
	Key      LegKey
	Revision uint64
	Withdraw bool // it answers a DELETE
	Code     Code
	Lifetime Maybe[Lifetime] // granted
	Conflict Maybe[Conflict]
	Text     string // diagnostic payload, for logs and for the list of a 5.08; not trusted
	MaxAge   time.Duration
	// Redirected says that the uplink sends us to another server (RFC 9132, Section 4.6), whatever its dialect's code for it.
	// MaxAge is 0 then: what comes with a redirect is how long it holds, not when to ask again.
	Redirected bool
}
