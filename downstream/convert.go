package downstream

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// fromCoAP turns a request into what a profile reads. A server is stricter than internal/carry: what no profile can judge
// is refused here.
func fromCoAP(m *coap.Message) (wire.CoAPRequest, error) {
	r := carry.Request(m)
	r.HopLimit, r.Observe = hopLimit(m.Options), observe(m.Options)
	switch {
	case m.Options.Has(coap.IfNoneMatch):
		return r, dots.Refuse(dots.CodeBadOption, "If-None-Match is not supported")
	case !formatValid(m.Options, coap.ContentFormat):
		return r, dots.Refuse(dots.CodeUnsupportedFormat, "")
	case !formatValid(m.Options, coap.Accept):
		return r, dots.Refuse(dots.CodeNotAcceptable, "")
	}
	return r, nil
}

// hopLimit returns the option as received; what is no number of 32 bits is out of range anyhow.
func hopLimit(o coap.Options) dots.Maybe[uint32] {
	v := carry.Uint(o, coap.HopLimit)
	if !v.Set && o.Has(coap.HopLimit) {
		return dots.Some(uint32(math.MaxUint32))
	}
	return v
}

// observe returns the option where it means something. RFC 7641, Section 2: other values than 0 and 1 are ignored.
func observe(o coap.Options) dots.Maybe[uint32] {
	if v := carry.Uint(o, coap.Observe); v.Value <= 1 {
		return v
	}
	return dots.Maybe[uint32]{}
}

// formatValid tells whether a content-format number, where there is one, is one that a registry can hold.
func formatValid(o coap.Options, number uint16) bool {
	v := carry.Uint(o, number)
	return v.Set && v.Value <= math.MaxUint16 || !o.Has(number)
}
