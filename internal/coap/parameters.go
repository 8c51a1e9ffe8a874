package coap

import "time"

// Parameters are the transmission parameters of a session, as RFC 9132, Section 4.5 lets the peers negotiate them.
// A zero field means its default.
type Parameters struct {
	AckTimeout      time.Duration // first wait for an acknowledgement; default 2 s
	AckRandomFactor float64       // the first wait is drawn from [1, factor] x AckTimeout; at least 1; default 1.5
	MaxRetransmit   int           // how often a CON is sent again; default 3; negative: never
	ProbingRate     int           // bytes per second toward a silent peer; what is not about a mitigation is held to it; default 5
	RepeatInterval  time.Duration // a NON request is sent again after this long without an answer; default 3 s
}

// DefaultParameters returns the defaults of RFC 9132, Section 4.5.2.
func DefaultParameters() Parameters {
	return Parameters{
		AckTimeout: 2 * time.Second, AckRandomFactor: 1.5, MaxRetransmit: 3, ProbingRate: 5, RepeatInterval: 3 * time.Second,
	}
}

// withDefaults fills in the zero fields.
func (p Parameters) withDefaults() Parameters {
	d := DefaultParameters()
	p.AckTimeout = positive(p.AckTimeout, d.AckTimeout)
	p.RepeatInterval = positive(p.RepeatInterval, d.RepeatInterval)
	p.ProbingRate = positive(p.ProbingRate, d.ProbingRate)
	if p.AckRandomFactor < 1 {
		p.AckRandomFactor = d.AckRandomFactor
	}
	if p.MaxRetransmit == 0 {
		p.MaxRetransmit = d.MaxRetransmit
	}
	return p
}

// MaxTransmitSpan is the longest time from the first transmission of a CON to its last: RFC 7252, Section 4.8.2.
func (p Parameters) MaxTransmitSpan() time.Duration {
	p = p.withDefaults()
	retries := min(max(p.MaxRetransmit, 0), 16)
	return time.Duration(float64(p.AckTimeout) * float64(int(1)<<retries-1) * p.AckRandomFactor)
}

// ExchangeLifetime is how long a message id stays bound to its CON: RFC 7252, Section 4.8.2.
func (p Parameters) ExchangeLifetime() time.Duration {
	p = p.withDefaults()
	return p.MaxTransmitSpan() + 2*maxLatency + p.AckTimeout
}

// NonLifetime is how long a message id stays bound to its NON: RFC 7252, Section 4.8.2.
func (p Parameters) NonLifetime() time.Duration { return p.MaxTransmitSpan() + maxLatency }

// maxLatency is MAX_LATENCY of RFC 7252, Section 4.8.2.
const maxLatency = 100 * time.Second

// ackDelay is how long a CON request may wait for its answer before an empty ACK is sent.
func (p Parameters) ackDelay() time.Duration { return min(200*time.Millisecond, p.AckTimeout/4) }

// Limits bound what one session may hold. A zero field means its default.
type Limits struct {
	MaxDatagram     int           // bytes: the largest CoAP message we send over UDP; default DefaultMaxDatagram
	MaxMessage      int           // bytes: the largest message we take over TCP, told to the peer; default 16384
	MaxBody         int           // bytes: the largest request body put together from blocks; default 16384; more: 4.13
	MaxResponseBody int           // bytes: the largest response body put together from blocks; default 262144
	MaxBodies       int           // request bodies, and response snapshots, held at a time; default 4; the oldest goes
	BodyLifetime    time.Duration // how long an unfinished body or a snapshot is kept; default 247 s
	MaxExchanges    int           // requests of the peer not answered yet; default 256; more: 5.03
	MaxObservers    int           // observations of the peer; default 64; more are answered without observing
	MaxCalls        int           // requests of ours not answered yet; default 1024; more: ErrBusy
	MaxRemembered   int           // messages remembered to detect duplicates; default 512; the oldest goes, and is counted as forgotten
	NotifyInterval  time.Duration // over UDP, least time between two notifications of an observer; default 3 s; negative: none
	CSMTimeout      time.Duration // over TCP, deadline for the peer's first message; default 10 s
	FrameTimeout    time.Duration // over TCP, deadline for the rest of a message once begun; default 10 s
}

// withDefaults fills in the zero fields.
func (l Limits) withDefaults() Limits {
	l.MaxDatagram = positive(l.MaxDatagram, DefaultMaxDatagram)
	l.MaxMessage = positive(l.MaxMessage, 16384)
	l.MaxBody = positive(l.MaxBody, 16384)
	l.MaxResponseBody = positive(l.MaxResponseBody, 262144)
	l.MaxBodies = positive(l.MaxBodies, 4)
	l.BodyLifetime = positive(l.BodyLifetime, 247*time.Second)
	l.MaxExchanges = positive(l.MaxExchanges, 256)
	l.MaxObservers = positive(l.MaxObservers, 64)
	l.MaxCalls = positive(l.MaxCalls, 1024)
	l.MaxRemembered = positive(l.MaxRemembered, 512)
	if l.NotifyInterval == 0 {
		l.NotifyInterval = 3 * time.Second
	}
	l.CSMTimeout = positive(l.CSMTimeout, 10*time.Second)
	l.FrameTimeout = positive(l.FrameTimeout, 10*time.Second)
	return l
}

// positive returns v, or the default when v is not above zero.
func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
