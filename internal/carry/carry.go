// Package carry says how a DOTS message travels in a CoAP message: in which options, and with which payload.
//
// It judges nothing: what an option's value means is said by the profile, and by whoever serves the request.
package carry

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Request is a CoAP request as a profile reads it. The payload is shared with m.
func Request(m *coap.Message) wire.CoAPRequest {
	r := wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(),
		Format: format(m.Options, coap.ContentFormat), Accept: format(m.Options, coap.Accept),
		Observe: Uint(m.Options, coap.Observe), HopLimit: Uint(m.Options, coap.HopLimit), Payload: m.Payload,
	}
	// RFC 9132, Section 4.4.3: an efficacy update has an If-Match of zero length; one that names an ETag is another thing.
	for _, v := range m.Options.All(coap.IfMatch) {
		r.IfMatch = r.IfMatch || len(v) == 0
		r.IfMatchTag = r.IfMatchTag || len(v) > 0
	}
	return r
}

// Response is a CoAP response as a profile reads it. Options that mean nothing in a response, such as the Uri-Path that
// some servers repeat, are passed over. The payload is shared with m.
func Response(m *coap.Message) wire.CoAPResponse {
	return wire.CoAPResponse{
		Code: dots.Code(m.Code), Format: format(m.Options, coap.ContentFormat), MaxAge: Uint(m.Options, coap.MaxAge), Payload: m.Payload,
	}
}

// Confirm says how a request is sent over UDP; over TCP it makes no difference.
type Confirm bool

// The two ways of a request.
const (
	// NON is for all that has to do with mitigations (RFC 9132, Section 4.4) and for heartbeats (RFC 9132, Section 4.7).
	NON Confirm = false
	// CON is for the session configuration (RFC 9132, Section 4.5).
	CON Confirm = true
)

// RequestMessage makes a CoAP request of what a profile has written. The payload is shared with r. IfMatchTag is only ever
// read: no request of ours names an ETag.
func RequestMessage(r wire.CoAPRequest, confirm Confirm) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: confirm == NON}
	if len(r.Path) > 0 {
		m.Options = make(coap.Options, 0, len(r.Path)+len(r.Query)+5) // one for each of the others
	}
	if r.IfMatch {
		m.Options.Add(coap.IfMatch, nil)
	}
	addUint(m, coap.Observe, r.Observe)
	m.Options.SetPath(r.Path...)
	addFormat(m, coap.ContentFormat, r.Format)
	for _, q := range r.Query {
		m.Options.AddString(coap.UriQuery, q)
	}
	addUint(m, coap.HopLimit, r.HopLimit)
	addFormat(m, coap.Accept, r.Accept)
	return m
}

// OneDatagram reports whether a request goes over UDP as one datagram on a path of so many bytes (0: coap.DefaultPathMTU), and not in blocks: under
// attack each further one is one more that can be lost (RFC 9132, Section 4.4.1, and Section 7.3 for the size).
func OneDatagram(r wire.CoAPRequest, pathMTU int) bool {
	return coap.FitsDatagram(RequestMessage(r, NON), pathMTU)
}

// ResponseMessage makes a CoAP response of what a profile has written. The payload is shared with r.
func ResponseMessage(r wire.CoAPResponse) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload}
	addFormat(m, coap.ContentFormat, r.Format)
	addUint(m, coap.MaxAge, r.MaxAge)
	return m
}

// Uint reads the first option of a number; one that is longer than four bytes counts as absent.
func Uint(o coap.Options, number uint16) dots.Maybe[uint32] {
	v, ok := o.Uint(number)
	return dots.Maybe[uint32]{Value: v, Set: ok}
}

// format reads a content format; one beyond 16 bits becomes the last, which is none of ours.
func format(o coap.Options, number uint16) dots.Maybe[uint16] {
	v, ok := o.Uint(number)
	return dots.Maybe[uint16]{Value: uint16(min(v, math.MaxUint16)), Set: ok}
}

func addUint(m *coap.Message, number uint16, v dots.Maybe[uint32]) {
	if v.Set {
		m.Options.AddUint(number, v.Value)
	}
}

func addFormat(m *coap.Message, number uint16, v dots.Maybe[uint16]) {
	if v.Set {
		m.Options.AddUint(number, uint32(v.Value))
	}
}
