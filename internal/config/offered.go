package config

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Bounds of what clients may be told of a configuration's age (RFC 9132, Section 4.5.3: 0 is not recommended).
const (
	defaultMaxAge = time.Hour
	leastMaxAge   = time.Minute
	mostMaxAge    = 365 * 24 * time.Hour
)

// offered checks one set of what clients are offered: of each parameter the least value, that which sessions begin with, and the most.
func (b *builder) offered(at string, f fileOffered) dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: offered(b, at+".heartbeat_interval", f.HeartbeatInterval, b.heartbeat),
		MissingHBAllowed:  offered(b, at+".missing_hb_allowed", f.MissingHBAllowed, b.counts(2, 1000)),
		ProbingRate:       offered(b, at+".probing_rate", f.ProbingRate, b.counts(1, math.MaxUint16)),
		MaxRetransmit:     offered(b, at+".max_retransmit", f.MaxRetransmit, b.counts(0, 15)),
		AckTimeout:        offered(b, at+".ack_timeout", f.AckTimeout, b.ackTimeout),
		AckRandomFactor: offered(b, at+".ack_random_factor", f.AckRandomFactor, func(at string, v float64) dots.Bounds[dots.Decimal] {
			return b.factor(at, &v)
		}),
	}
}

// counts reads numbers between two bounds.
func (b *builder) counts(low, high int) func(at string, n int) dots.Bounds[uint16] {
	return func(at string, n int) dots.Bounds[uint16] { return b.count(at, &n, low, high) }
}

// offered reads the three values of a parameter; none is what is built in.
func offered[F any, V cmp.Ordered](b *builder, at string, list []F, read func(at string, v F) dots.Bounds[V]) (v dots.Bounds[V]) {
	if len(list) == 0 {
		return v
	}
	if len(list) != 3 {
		b.addf(at, "give three: the least, what sessions begin with, the most", "%d values", len(list))
		return v
	}
	var read3 [3]dots.Maybe[V]
	before := len(b.errors)
	for i, text := range list {
		one := fmt.Sprintf("%s[%d]", at, i)
		if any(text) == any("") {
			b.add(one, "empty", "use a number with a unit, such as 5s, 2m or 500ms")
			return v
		}
		if read3[i] = read(one, text).Current; !read3[i].Set {
			return v // as was said
		}
	}
	if len(b.errors) > before {
		return v
	}
	if read3[0].Value > read3[1].Value || read3[1].Value > read3[2].Value {
		b.add(at, "not in rising order", "give the least, what sessions begin with, and the most")
		return v
	}
	return dots.Bounds[V]{Min: read3[0], Current: read3[1], Max: read3[2]}
}
