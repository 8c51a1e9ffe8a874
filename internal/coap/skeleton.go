package coap

import (
	"context"
	"time"
)

// Exchange is one request of the peer and its answer.
type Exchange struct {
	s   *Session
	req *Message
}

// Session returns the session the request came in on.
func (ex *Exchange) Session() *Session { return ex.s }

// Request returns the request, whole after block-wise reassembly, read-only.
func (ex *Exchange) Request() *Message { return ex.req }

// Respond answers the request; at most once, later calls are ignored.
func (ex *Exchange) Respond(resp *Message) {}

// Silence ends the exchange without a response.
func (ex *Exchange) Silence() {}

// Observe answers a GET with Observe 0 and registers the observer.
func (ex *Exchange) Observe(first *Message, onEnd func()) *Observer { return nil }
func (ex *Exchange) close()                                         {}

// Observer is one observation of the peer's.
type Observer struct{}

// Notify sends a notification.
func (o *Observer) Notify(m *Message) {}

// Close ends the observation without a further notification.
func (o *Observer) Close() {}
func (o *Observer) end()   {}

// Observation is one observation of ours.
type Observation struct{}

// Active reports whether the peer keeps us registered, as far as we know.
func (o *Observation) Active() bool { return false }

// Cancel ends the observation with a GET with Observe 1.
func (o *Observation) Cancel(ctx context.Context) error { return nil }

// Do sends a request and returns its response.
func (s *Session) Do(ctx context.Context, req *Message) (*Message, error) { return nil, ErrClosed }

// Observe registers an observation.
func (s *Session) Observe(ctx context.Context, req *Message, fn func(*Message)) (*Observation, error) {
	return nil, ErrClosed
}

// Ping checks that the peer is there.
func (s *Session) Ping(ctx context.Context) error { return ErrClosed }

// Input takes what the peer sent.
func (s *Session) Input(b []byte) {}

type (
	call        struct{ fn func(*Message, error) }
	confirmable struct{ timer timer }
	duplicates  struct{}
	body        struct{}
	kept        struct{}
	stream      struct{}
	packet      struct{ code Code }
)

func newStream(*Session) *stream { return nil }
func (*stream) start()           {}
func (*stream) stop()            {}
func (s *Session) drop(*call)    {}
func (s *Session) send(packet)   {}

var _ = time.Now
