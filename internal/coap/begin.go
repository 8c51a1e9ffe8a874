package coap

import "fmt"

// Pending is a request under way whose outcome is told to a function.
type Pending struct{ t transfer }

// Begin sends a request as Do does and returns at once; done is called once with what Do would return, unless Begin returns an error or Abandon
// came first. It may be called before Begin returns, on the goroutine that brings the response, fails the request or ends the session, without
// a lock: it may block only as far as that goroutine may wait. Over TCP a request that is larger than what every peer takes must not be sent
// before the peer has told its capabilities: Begin refuses it with ErrBusy until then.
//
// Unlike Do it may be called from a Handler, and from another request's done.
func (s *Session) Begin(req *Message, done func(*Message, error)) (*Pending, error) {
	return s.launch(&Pending{transfer{s: s, req: req, urgency: usualUrgency(req), done: done}})
}

// BeginAs is Begin for a request of an urgency. It is sent at once, whatever Pace says, and counted; its repeats wait for their turn.
func (s *Session) BeginAs(u Urgency, req *Message, done func(*Message, error)) (*Pending, error) {
	return s.launch(&Pending{transfer{s: s, req: req, urgency: u, mitigates: u > LeastUrgent, done: done}})
}

// usualUrgency is that of a request of which nothing else is said: a retrieval, or the session configuration, which is CON, may wait.
func usualUrgency(req *Message) Urgency {
	if req.Code == GET || !req.NonConfirmable {
		return LeastUrgent
	}
	return MostUrgent - 1
}

// launch sends the first message.
func (s *Session) launch(p *Pending) (*Pending, error) {
	req := p.t.req
	if !req.Code.IsRequest() {
		return nil, fmt.Errorf("%w: %s is not a method", ErrBadMessage, req.Code)
	}
	if !s.greeted(req) {
		return nil, fmt.Errorf("sending the request: %w: the peer's capabilities are not known yet", ErrBusy)
	}
	if err := p.t.begin(); err != nil {
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	return p, nil
}

// Abandon forgets the request: done is not called any more, if it was not just being called. A late response is unexpected.
func (p *Pending) Abandon() { p.t.stop() }

// greeted reports whether a request may be sent before the peer's CSM, or that has come: RFC 8323, Section 5.3.1.
func (s *Session) greeted(req *Message) bool {
	if !s.reliable || sizeOf(req) <= baseMessageSize {
		return true
	}
	select {
	case <-s.stream.ready:
		return true
	default:
		return false
	}
}
