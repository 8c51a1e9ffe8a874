package dots

// Decimal is a decimal64 with two fraction digits, in hundredths: 150 is 1.50 (RFC 9132, Section 4.5).
type Decimal int64

// Bounds is a session parameter: its current value and the range that the server accepts. Only a server
// tells a range (RFC 9132, Section 4.5.1).
type Bounds[T any] struct {
	Current, Min, Max Maybe[T]
}

// Set reports whether anything of the parameter is present.
func (b Bounds[T]) Set() bool { return b.Current.Set || b.Min.Set || b.Max.Set }

// ConfigSet is one of the two sets of session parameters (RFC 9132, Section 4.5).
type ConfigSet struct {
	HeartbeatInterval Bounds[uint16] // seconds; 0 turns heartbeats off
	MissingHBAllowed  Bounds[uint16] // consecutive heartbeats
	ProbingRate       Bounds[uint16] // bytes per second
	MaxRetransmit     Bounds[uint16] // retransmissions of a confirmable message
	AckTimeout        Bounds[Decimal]
	AckRandomFactor   Bounds[Decimal]
	Robust            RobustSet
}

// RobustSet holds the parameters of robust block transfer (RFC 9362).
type RobustSet struct {
	MaxPayloads       Bounds[uint16]
	NonMaxRetransmit  Bounds[uint16]
	NonTimeout        Bounds[Decimal]
	NonReceiveTimeout Bounds[Decimal]
	NonProbingWait    Bounds[Decimal]
	NonPartialWait    Bounds[Decimal]
}

// SessionConfig is a session's configuration: while a mitigation is active, and while none is.
type SessionConfig struct {
	Mitigating, Idle ConfigSet
	// TriggerMitigation is session-wide in draft04 only; absent means true.
	TriggerMitigation Maybe[bool]
}

// Redirect sends a client to another server (RFC 9132, Section 4.6).
type Redirect struct {
	Server  string   // FQDN, the reference identity at the alternate server
	Records []string // IP addresses
	// TTLs are per record, in seconds, in draft04 and in call home only; elsewhere the answer's Max-Age holds for all.
	TTLs []uint32
}
