package downstream

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// fromCoAP turns a request into what a profile reads. What no profile can judge is refused here.
func fromCoAP(m *coap.Message) (wire.CoAPRequest, error) {
	r := wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(), Payload: m.Payload,
		HopLimit: hopLimit(m.Options), Observe: observe(m.Options),
	}
	r.IfMatch, r.IfMatchTag = ifMatch(m.Options)
	if m.Options.Has(coap.IfNoneMatch) {
		return r, dots.Refuse(dots.CodeBadOption, "If-None-Match is not supported")
	}
	var ok bool
	if r.Format, ok = format(m.Options, coap.ContentFormat); !ok {
		return r, dots.Refuse(dots.CodeUnsupportedFormat, "")
	}
	if r.Accept, ok = format(m.Options, coap.Accept); !ok {
		return r, dots.Refuse(dots.CodeNotAcceptable, "")
	}
	return r, nil
}

// ifMatch tells which kinds of If-Match are present: an empty one, and one that names an ETag.
func ifMatch(o coap.Options) (empty, tag bool) {
	for _, v := range o.All(coap.IfMatch) {
		if len(v) == 0 {
			empty = true
		} else {
			tag = true
		}
	}
	return empty, tag
}

// hopLimit returns the option as received; what is no number of 32 bits is out of range anyhow.
func hopLimit(o coap.Options) dots.Maybe[uint32] {
	if v, ok := o.Uint(coap.HopLimit); ok {
		return dots.Some(v)
	}
	if o.Has(coap.HopLimit) {
		return dots.Some(uint32(math.MaxUint32))
	}
	return dots.Maybe[uint32]{}
}

// observe returns the option where it means something. RFC 7641, Section 2: other values than 0 and 1 are ignored.
func observe(o coap.Options) dots.Maybe[uint32] {
	if v, ok := o.Uint(coap.Observe); ok && v <= 1 {
		return dots.Some(v)
	}
	return dots.Maybe[uint32]{}
}

// format returns a content-format number; ok is false for one that no registry can hold.
func format(o coap.Options, number uint16) (f dots.Maybe[uint16], ok bool) {
	if !o.Has(number) {
		return f, true
	}
	v, ok := o.Uint(number)
	if !ok || v > math.MaxUint16 {
		return f, false
	}
	return dots.Some(uint16(v)), true
}

// toCoAP turns what a profile wrote into a message.
func toCoAP(r wire.CoAPResponse) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload}
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	if r.MaxAge.Set {
		m.Options.AddUint(coap.MaxAge, r.MaxAge.Value)
	}
	return m
}

// requestToCoAP turns a request of ours, as a profile wrote it, into a NON message.
func requestToCoAP(r wire.CoAPRequest) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: true}
	m.Options.SetPath(r.Path...)
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	return m
}
