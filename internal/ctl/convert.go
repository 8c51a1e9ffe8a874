package ctl

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// toMessage makes a CoAP request of what a profile wrote.
//
// RFC 9132, Section 4.4: what has to do with mitigations, and a heartbeat, is non-confirmable. RFC 9132, Section 4.5:
// the session configuration is confirmable.
func toMessage(r wire.CoAPRequest, nonConfirmable bool) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: nonConfirmable}
	if r.IfMatch {
		m.Options.Add(coap.IfMatch, nil)
	}
	if r.Observe.Set {
		m.Options.AddUint(coap.Observe, r.Observe.Value)
	}
	m.Options.SetPath(r.Path...)
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	for _, q := range r.Query {
		m.Options.AddString(coap.UriQuery, q)
	}
	if r.HopLimit.Set {
		m.Options.AddUint(coap.HopLimit, r.HopLimit.Value)
	}
	return m
}

// fromMessage is a CoAP response as a profile reads it.
func fromMessage(m *coap.Message) wire.CoAPResponse {
	return wire.CoAPResponse{
		Code: dots.Code(m.Code), Format: format(m), MaxAge: number(m, coap.MaxAge), Payload: m.Payload,
	}
}

// fromRequest is a CoAP request of the server's, which can only be a heartbeat, as a profile reads it.
func fromRequest(m *coap.Message) wire.CoAPRequest {
	return wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(), Format: format(m), Payload: m.Payload,
	}
}

func number(m *coap.Message, option uint16) dots.Maybe[uint32] {
	v, ok := m.Options.Uint(option)
	return dots.Maybe[uint32]{Value: v, Set: ok}
}

// format reads the content format; one beyond 16 bits becomes the last, which is none of ours.
func format(m *coap.Message) dots.Maybe[uint16] {
	v, ok := m.Options.Uint(coap.ContentFormat)
	return dots.Maybe[uint16]{Value: uint16(min(v, math.MaxUint16)), Set: ok}
}
