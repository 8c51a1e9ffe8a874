package lab

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// fromMessage is a CoAP request as a profile reads it.
func fromMessage(m *coap.Message) wire.CoAPRequest {
	r := wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(), Payload: m.Payload,
		Format: format(m.Options, coap.ContentFormat), Accept: format(m.Options, coap.Accept),
		HopLimit: number(m.Options, coap.HopLimit), Observe: number(m.Options, coap.Observe),
	}
	for _, v := range m.Options.All(coap.IfMatch) {
		r.IfMatch = r.IfMatch || len(v) == 0
		r.IfMatchTag = r.IfMatchTag || len(v) > 0
	}
	return r
}

// toMessage makes a CoAP response of what a profile wrote.
func toMessage(r wire.CoAPResponse) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload}
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	if r.MaxAge.Set {
		m.Options.AddUint(coap.MaxAge, r.MaxAge.Value)
	}
	return m
}

// requestMessage makes a CoAP request of the server's, which is always a heartbeat, of what a profile wrote.
func requestMessage(r wire.CoAPRequest) *coap.Message {
	m := &coap.Message{Code: coap.Code(r.Method), Payload: r.Payload, NonConfirmable: true}
	m.Options.SetPath(r.Path...)
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	return m
}

func number(o coap.Options, option uint16) dots.Maybe[uint32] {
	v, ok := o.Uint(option)
	return dots.Maybe[uint32]{Value: v, Set: ok}
}

// format reads a content format; one beyond 16 bits becomes the last, which is none of ours.
func format(o coap.Options, option uint16) dots.Maybe[uint16] {
	v, ok := o.Uint(option)
	return dots.Maybe[uint16]{Value: uint16(min(v, math.MaxUint16)), Set: ok}
}
