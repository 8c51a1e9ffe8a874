package upstream

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// toMessage makes a CoAP request of what a profile has encoded.
//
// RFC 9132, Section 4.4: requests that have to do with mitigations are non-confirmable, as heartbeats are
// (RFC 9132, Section 4.7).
func toMessage(r wire.CoAPRequest) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: true}
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
	if r.Accept.Set {
		m.Options.AddUint(coap.Accept, uint32(r.Accept.Value))
	}
	return m
}

// fromResponse is a CoAP response as a profile reads it. Options that mean nothing in a response, such as the Uri-Path
// that some servers repeat, are passed over.
func fromResponse(m *coap.Message) wire.CoAPResponse {
	return wire.CoAPResponse{
		Code: dots.Code(m.Code), Format: format(m, coap.ContentFormat), MaxAge: number(m, coap.MaxAge), Payload: m.Payload,
	}
}

// fromRequest is a CoAP request of the server's as a profile reads it.
func fromRequest(m *coap.Message) wire.CoAPRequest {
	r := wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(),
		Format: format(m, coap.ContentFormat), Accept: format(m, coap.Accept),
		Observe: number(m, coap.Observe), HopLimit: number(m, coap.HopLimit), Payload: slices.Clone(m.Payload),
	}
	for _, v := range m.Options.All(coap.IfMatch) {
		r.IfMatch = r.IfMatch || len(v) == 0
		r.IfMatchTag = r.IfMatchTag || len(v) > 0
	}
	return r
}

// toResponse makes a CoAP response of what a profile has encoded.
func toResponse(r wire.CoAPResponse) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload}
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	if r.MaxAge.Set {
		m.Options.AddUint(coap.MaxAge, r.MaxAge.Value)
	}
	return m
}

func number(m *coap.Message, option uint16) dots.Maybe[uint32] {
	v, ok := m.Options.Uint(option)
	return dots.Maybe[uint32]{Value: v, Set: ok}
}

// format reads a content format; one that does not fit into 16 bits becomes the last, which is none of ours.
func format(m *coap.Message, option uint16) dots.Maybe[uint16] {
	v, ok := m.Options.Uint(option)
	return dots.Maybe[uint16]{Value: uint16(min(v, 1<<16-1)), Set: ok}
}
