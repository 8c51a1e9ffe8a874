// Package liveness decides when a DOTS session sends a heartbeat and whether its peer is still there.
//
// It is pure: no clock, no goroutine, no network. The owner of a session tells a Monitor what happens and when, calls
// Due at the time that Next names, and does what the Action says.
package liveness

import "time"

// Role is the role of our side of the session.
type Role uint8

// The roles of RFC 9132. A gateway is a Server towards its clients and a Client towards its uplinks.
const (
	Client Role = iota
	Server
)

// State is what is known of the peer.
type State uint8

// The states of a session.
const (
	// Alive: our last heartbeat was answered, or its answer is not late yet.
	Alive State = iota

	// Suspect: at least one heartbeat was not answered within its interval. The session is in use as before.
	Suspect

	// Lost: the session counts as disconnected. It is alive again as soon as anything is heard.
	Lost
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Lost:
		return "lost"
	}
	return "unknown"
}

// DefaultMissingAllowed is the default of missing-hb-allowed (RFC 9132, Section 4.5).
const DefaultMissingAllowed = 15

// minSpacing is the least time between two heartbeats unless the interval is shorter.
//
// RFC 9132, Section 4.7: heartbeats are not sent more often than every 15 seconds.
const minSpacing = 15 * time.Second

// Config holds the session parameters that are in force: those of the idle or of the mitigating set.
type Config struct {
	// Interval is heartbeat-interval. Zero: no heartbeats are sent and the session is never lost.
	Interval time.Duration

	// MissingAllowed is missing-hb-allowed; without meaning on a reliable transport. Zero: DefaultMissingAllowed.
	MissingAllowed int

	// Reliable: the session runs over TCP.
	Reliable bool

	// Role of our side. Zero: Client.
	Role Role

	// Mitigating: an attack is going on as far as this session is concerned. It changes the verdict of a client only.
	Mitigating bool
}

// Action is what is to be done now.
type Action struct {
	// SendHeartbeat: send one now, and tell the Monitor by HeartbeatSent.
	SendHeartbeat bool

	// PeerHBStatus is the peer-hb-status of that heartbeat.
	PeerHBStatus bool

	// State of the session.
	State State

	// Missed counts the heartbeats in a row whose answers are late.
	Missed int

	// Exhausted: missing-hb-allowed is used up, although the State may forbid to call the session lost. A client
	// tries a new session beside this one (RFC 9132, Section 4.7) and keeps this one in use.
	Exhausted bool
}
