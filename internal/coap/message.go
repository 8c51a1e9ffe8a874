package coap

import "slices"

// Message is a CoAP message as the layers above see it: without token, message id and type.
//
// A message handed to the package is read before the call returns and not kept, except its option values and
// payload, which must not be changed until the exchange it belongs to is over. A message handed out by the
// package is the receiver's, read-only.
type Message struct {
	Code           Code    // the method of a request or the code of a response
	Options        Options // sorted by number; use the methods of Options to keep it so
	Payload        []byte  // nil or empty: no payload
	NonConfirmable bool    // over UDP: sent or received as NON; ignored over TCP
}

// Clone returns a copy that shares nothing with m. A nil message gives nil.
func (m *Message) Clone() *Message {
	if m == nil {
		return nil
	}
	c := *m
	c.Payload = slices.Clone(m.Payload)
	c.Options = make(Options, len(m.Options))
	for i, o := range m.Options {
		c.Options[i] = Option{Number: o.Number, Value: slices.Clone(o.Value)}
	}
	return &c
}

// with returns a shallow copy of m whose option list may be changed without touching m.
func (m *Message) with() *Message {
	c := *m
	c.Options = append(make(Options, 0, len(m.Options)+4), m.Options...)
	return &c
}

// diagnostic returns a response with a short text for people as payload (RFC 7252, Section 5.5.2).
func diagnostic(code Code, text string) *Message {
	const most = 64 // no diagnostic of ours is longer
	if len(text) > most {
		text = text[:most]
	}
	return &Message{Code: code, Payload: []byte(text)}
}
