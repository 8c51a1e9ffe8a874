package admin

import "time"

// Mitigation is a mitigation as an operator sees it.
type Mitigation struct {
	Client       string   `json:"client"`
	CUID         string   `json:"cuid"`
	CDID         string   `json:"cdid,omitempty"` // of a client behind a trusted gateway
	MID          uint32   `json:"mid"`
	Domain       string   `json:"domain"`
	Targets      []string `json:"targets"`
	Status       string   `json:"status"`
	StatusCode   int      `json:"status_code"`        // RFC 9132, Section 4.4.2
	Lifetime     int64    `json:"lifetime"`           // seconds left; -1: indefinite
	Start        int64    `json:"start,omitempty"`    // seconds since the epoch
	Conflict     bool     `json:"conflict,omitempty"` // a conflict is told to the client
	BytesDropped *uint64  `json:"bytes_dropped,omitempty"`
	PktsDropped  *uint64  `json:"pkts_dropped,omitempty"`
	Legs         []Leg    `json:"legs"`
	// Recursed: it went on from the local mitigators to the uplinks; To names the uplink that the operator chose.
	Recursed bool   `json:"recursed,omitempty"`
	To       string `json:"to,omitempty"`
}

// Leg is a leg of a mitigation.
type Leg struct {
	Uplink string `json:"uplink"`
	CUID   string `json:"cuid"`
	MID    uint32 `json:"mid"`
	State  string `json:"state"`
	Status string `json:"status"`
	// Heard is when the uplink last told how the leg fares; zero: not since the gateway's start.
	Heard time.Time `json:"heard,omitzero"`
	// SharedBy is how many mitigations the leg stands for.
	SharedBy int `json:"shared_by"`
}

// Session is a client's session.
type Session struct {
	ID        uint64    `json:"id"`
	Client    string    `json:"client"` // empty: the credential is not in the configuration
	Peer      string    `json:"peer"`
	Transport string    `json:"transport"`
	Profile   string    `json:"profile"`
	Since     time.Time `json:"since"`
	LastHeard time.Time `json:"last_heard"`
}

// Uplink is an upstream server.
type Uplink struct {
	Name      string `json:"name"`
	Up        bool   `json:"up"`
	Profile   string `json:"profile"`
	Transport string `json:"transport,omitempty"`
	Remote    string `json:"remote,omitempty"`
	// Redirected is the server at which we are because the provider sent us there; empty: at the configured one.
	Redirected      string         `json:"redirected,omitempty"`
	RedirectedUntil time.Time      `json:"redirected_until,omitzero"` // when we go back; zero: when we are sent elsewhere
	Since           time.Time      `json:"since"`
	Dialling        time.Time      `json:"dialling,omitzero"` // since when an attempt to make a session is under way, while there is none
	LastHeard       time.Time      `json:"last_heard"`
	Suspect         bool           `json:"suspect,omitempty"`            // heartbeats go unanswered on its session, which is in use all the same
	SID             uint64         `json:"sid,omitempty"`                // of the session parameters that were negotiated; 0: the defaults hold
	Heartbeat       int            `json:"heartbeat_interval,omitempty"` // seconds; 0: none, or no session
	RTT             float64        `json:"rtt_seconds,omitempty"`        // smoothed round-trip time of its session; 0: not known, or no session
	Failures        int            `json:"failures,omitempty"`           // attempts in a row
	LastError       string         `json:"last_error,omitempty"`
	Legs            map[string]int `json:"legs"` // by state
	InFlight        int            `json:"in_flight"`
	Local           bool           `json:"local,omitempty"`   // a mitigator of our own
	Drained         bool           `json:"drained,omitempty"` // by the operator's command
	Leaving         bool           `json:"leaving,omitempty"` // not configured any more, and kept until nothing stands there
}
