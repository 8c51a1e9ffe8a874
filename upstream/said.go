package upstream

import (
	"bytes"
	"slices"
	"sync/atomic"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// said is the PUT of a leg as it was sent last, and its answer: a refresh says the same again, under another token, and is told the same. It lasts as
// long as the leg is wanted; a nil one keeps nothing.
type said struct {
	leg     dots.Leg      // of the link's goroutine
	message *coap.Message // of the link's goroutine; nobody changes it; nil: none yet
	answer  atomic.Pointer[saidAnswer]
}

// saidAnswer is an answer and what it means: an answer to a PUT under the same cuid and mid means the same if it is the same. Nobody changes it.
type saidAnswer struct {
	message *coap.Message
	meant   wire.Response
}

// again returns the message for a leg, if it says what the last one said; else nil.
func (s *said) again(leg *dots.Leg) *coap.Message {
	if s == nil || s.message == nil || !saySame(&s.leg, leg) {
		return nil
	}
	return s.message
}

// keep keeps the message of a leg instead of an older one.
func (s *said) keep(leg *dots.Leg, m *coap.Message) {
	if s != nil {
		s.leg, s.message = *leg, m
	}
}

// keptAnswer bounds the payload of an answer that is kept, in bytes.
const keptAnswer = 256

// known returns what an answer means if it is the same as the last one; else nil. Nobody changes it.
func (s *said) known(m *coap.Message) *wire.Response {
	if s == nil {
		return nil
	}
	last := s.answer.Load()
	if last == nil || last.message.Code != m.Code || !bytes.Equal(last.message.Payload, m.Payload) ||
		!slices.EqualFunc(last.message.Options, m.Options, sameOption) {
		return nil
	}
	return &last.meant
}

// answered keeps an answer instead of an older one.
func (s *said) answered(m *coap.Message, meant wire.Response) {
	if s != nil && m.Code.Success() && len(m.Payload) <= keptAnswer {
		s.answer.Store(&saidAnswer{m, meant})
	}
}

func sameOption(a, b coap.Option) bool { return a.Number == b.Number && bytes.Equal(a.Value, b.Value) }

// saySame reports whether the PUTs of two legs are the same: all but the revision, which is not said. Another order of the same targets is another one.
func saySame(a, b *dots.Leg) bool {
	return a.Key == b.Key && a.HopLimit == b.HopLimit && a.CDID == b.CDID && a.Withdraw == b.Withdraw && a.Efficacy == b.Efficacy &&
		sameRequest(&a.Request, &b.Request)
}

func sameRequest(a, b *dots.Request) bool {
	return a.MID == b.MID && a.Lifetime == b.Lifetime && a.OnSignalLoss == b.OnSignalLoss && a.Attack == b.Attack &&
		sameTarget(&a.Target, &b.Target) && slices.Equal(a.ACLs, b.ACLs) && slices.Equal(a.Source.Prefixes, b.Source.Prefixes) &&
		slices.Equal(a.Source.Ports, b.Source.Ports) && slices.Equal(a.Source.ICMPTypes, b.Source.ICMPTypes) &&
		slices.EqualFunc(a.Optional, b.Optional, func(x, y dots.Raw) bool { return x.Key == y.Key && bytes.Equal(x.Value, y.Value) })
}

func sameTarget(a, b *dots.Target) bool {
	return slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Ports, b.Ports) && slices.Equal(a.Protocols, b.Protocols) &&
		slices.Equal(a.FQDNs, b.FQDNs) && slices.Equal(a.URIs, b.URIs) && slices.Equal(a.Aliases, b.Aliases)
}
