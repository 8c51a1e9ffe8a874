package dots

import "math"

// Lifetime is the life of a mitigation in seconds: 1 to 2^32-1, or Indefinite. Zero is not a lifetime
// and is refused (RFC 9132, Section 4.4.1).
type Lifetime int64

// Indefinite asks for a mitigation without an end.
const Indefinite Lifetime = -1

// DefaultLifetime is the recommended one, in seconds (RFC 9132, Section 4.4.1).
const DefaultLifetime Lifetime = 3600

// Valid reports whether l is Indefinite or from 1 to 2^32-1.
func (l Lifetime) Valid() bool { return l == Indefinite || l >= 1 && l <= math.MaxUint32 }

// Longer reports whether l outlives o; Indefinite outlives every other.
func (l Lifetime) Longer(o Lifetime) bool {
	if l == Indefinite || o == Indefinite {
		return l == Indefinite && o != Indefinite
	}
	return l > o
}

// Activation is what an ACL control asks (RFC 9133, Section 3.2.2). Zero is absent.
type Activation uint8

// The values of activation-type.
const (
	ActivateWhenMitigating Activation = 1
	ActivateImmediate      Activation = 2
	ActivateDeactivate     Activation = 3
)

// ACLControl turns one of the client's access lists on or off with a mitigation (RFC 9133).
type ACLControl struct {
	Name       string
	Activation Activation
}

// Source narrows the traffic by where it comes from (RFC 9066); hints on the signal channel.
type Source struct {
	Prefixes  []string // as written: a source may be of any family and length
	Ports     []PortRange
	ICMPTypes []ICMPTypeRange
}

// Raw is an attribute that its reader may ignore, kept as it was encoded.
type Raw struct {
	Key   uint64
	Value []byte // one encoded data item
}

// Request is the body of a mitigation request, with its mid, in either direction of the gateway.
type Request struct {
	MID      uint32
	Target   Target
	Lifetime Maybe[Lifetime] // absent only in an efficacy update, and in draft04
	// OnSignalLoss is trigger-mitigation=false: the request is armed now and starts
	// when the session is lost (RFC 9132, Section 4.4.1).
	OnSignalLoss bool
	Attack       AttackStatus // of an efficacy update
	ACLs         []ACLControl
	Source       Source
	Optional     []Raw // comprehension-optional attributes, ascending by key
}

// Counters are what a mitigator dropped (RFC 9132, Section 4.4.2).
type Counters struct {
	BytesDropped   Maybe[uint64] // bytes
	BytesPerSecond Maybe[uint64] // bytes per second, the wire's bps-dropped
	PktsDropped    Maybe[uint64] // packets
	PktsPerSecond  Maybe[uint64] // packets per second
}

// Report is what is known of a mitigation or of a leg: one entry of a GET's answer or of a notification.
type Report struct {
	MID          uint32
	Target       Target
	OnSignalLoss bool
	Lifetime     Lifetime      // remaining
	Start        Maybe[uint64] // seconds since the Unix epoch; absent while armed
	Status       Status
	Conflict     Maybe[Conflict]
	Counters     Counters
	ACLs         []ACLControl
	Source       Source // as asked
	Optional     []Raw  // comprehension-optional attributes, ascending by key
}
