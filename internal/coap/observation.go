package coap

import (
	"context"
	"fmt"
	"time"
)

// Observation is one observation of ours: RFC 7641, Section 3. Safe for concurrent use.
type Observation struct {
	s     *Session
	req   *Message
	fn    func(*Message)
	first chan error // capacity 1: the outcome of the registration

	anyway    bool // a success without the Observe option does not end it
	call      *call
	listening bool      // what comes under the token is ours
	active    bool      // we are registered: a response with the option came
	answered  bool      // the first response came
	sequence  uint32    // of the newest notification taken
	taken     time.Time // when
	rest      *transfer // fetches the rest of a large notification
}

// Observe sends a GET with Observe 0 and returns when it is answered. fn gets the response and every later notification
// that is newer than the last, whole, one at a time, in order; it is called on the session's input path and must not
// block. When the peer did not register us (an error, or no Observe option) fn has got the response and Active is
// false. On UDP a peer that forgot us is the caller's concern. Errors as for Do.
func (s *Session) Observe(ctx context.Context, req *Message, fn func(*Message)) (*Observation, error) {
	return s.observe(ctx, req, &Observation{fn: fn})
}

// ObserveAnyway is Observe for peers that register us without saying so: known servers leave the Observe option out of
// their first response and notify all the same. After such a response, if it is a success, the observation goes on:
// Active is false until the first notification, and further responses without the option, which answer repetitions of
// the request, are passed over. It ends as any other, or by Cancel, which tells a peer nothing that never notified.
func (s *Session) ObserveAnyway(ctx context.Context, req *Message, fn func(*Message)) (*Observation, error) {
	return s.observe(ctx, req, &Observation{fn: fn, anyway: true})
}

// observe registers o and waits for the first response.
func (s *Session) observe(ctx context.Context, req *Message, o *Observation) (*Observation, error) {
	if req.Code != GET {
		return nil, fmt.Errorf("%w: %s cannot observe", ErrBadMessage, req.Code)
	}
	o.s, o.req, o.first = s, req.Clone(), make(chan error, 1)
	if err := o.register(); err != nil {
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	var err error
	select {
	case err = <-o.first:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.mu.Lock()
		defer s.unlock()
		o.forget()
		o.abandonRest()
		return nil, fmt.Errorf("waiting for the response: %w", err)
	}
	return o, nil
}

// register sends the registration.
func (o *Observation) register() error {
	o.s.mu.Lock()
	defer o.s.unlock()
	m := o.req.with()
	m.Options.SetUint(Observe, 0)
	if sizeOf(m) > o.s.maxSize() {
		return fmt.Errorf("%w: the options leave no room", ErrTooLarge)
	}
	o.call = &call{stays: true, fn: o.receive}
	o.listening = true
	return o.s.begin(o.call, m)
}

// Active reports whether the peer keeps us registered, as far as it has said so.
func (o *Observation) Active() bool {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	return o.active && o.s.err == nil
}

// receive takes a response to the registration or a notification.
func (o *Observation) receive(m *Message, err error) {
	o.s.mu.Lock()
	defer o.s.unlock()
	if !o.listening {
		return
	}
	if err != nil {
		o.forget()
		o.settle(err)
		return
	}
	if o.takes(m, time.Now()) {
		o.answered = true
		o.deliver(m)
	}
}

// takes notes what a response says of our registration, and reports whether it is news.
func (o *Observation) takes(m *Message, now time.Time) bool {
	sequence, observed := m.Options.Uint(Observe)
	switch {
	case observed && m.Code.Success():
		if o.active && !o.fresh(sequence, now) {
			return false
		}
		o.active, o.sequence, o.taken = true, sequence, now
	case o.anyway && m.Code.Success():
		return !o.answered
	default:
		// RFC 7641, Section 4.1 and 4.2: not registered, or not any more.
		o.forget()
	}
	return true
}

// fresh reports whether a notification is newer than the last: RFC 7641, Section 3.4. Over TCP order is given.
func (o *Observation) fresh(sequence uint32, now time.Time) bool {
	const half = 1 << 23
	a, b := o.sequence, sequence
	return o.s.reliable || a < b && b-a < half || a > b && a-b > half || now.After(o.taken.Add(128*time.Second))
}

// deliver hands a notification on, after its other blocks were fetched. A newer notification ends the fetching of
// an older one. RFC 7959, Section 3.4.
func (o *Observation) deliver(m *Message) {
	o.abandonRest()
	b, has, err := blockOf(m.Options, Block2)
	if err != nil || !has || !b.more || !m.Code.Success() {
		o.hand(m)
		return
	}
	t := &transfer{s: o.s, req: o.req}
	t.done = func(whole *Message, err error) { o.fetched(t, whole, err) }
	o.rest = t
	if _, _, err := t.receive(m); err != nil {
		o.rest = nil
		o.settle(err)
	}
}

// fetched takes a notification that came in blocks.
func (o *Observation) fetched(t *transfer, m *Message, err error) {
	o.s.mu.Lock()
	defer o.s.unlock()
	if o.rest != t {
		return
	}
	o.rest = nil
	if err != nil {
		o.settle(err) // a later notification brings the state anew
		return
	}
	o.hand(m)
}

// hand calls fn once the lock is free, and lets Observe return.
func (o *Observation) hand(m *Message) {
	o.s.later(func() { o.fn(m) })
	o.s.later(func() { o.settle(nil) })
}

// settle gives Observe its outcome; only the first counts.
func (o *Observation) settle(err error) {
	select {
	case o.first <- err:
	default:
	}
}

// abandonRest stops fetching the other blocks of a notification. The lock is held.
func (o *Observation) abandonRest() {
	if o.rest == nil {
		return
	}
	o.rest.over = true
	if o.rest.call != nil {
		o.s.drop(o.rest.call)
	}
	o.rest = nil
}

// forget stops listening. The lock is held.
func (o *Observation) forget() {
	o.listening, o.active = false, false
	o.s.drop(o.call)
}

// Cancel ends the observation with a GET with Observe 1 under the same token and waits for its response: RFC 7641,
// Section 3.6. fn is not called once Cancel was begun, except for a notification that is just being handed over.
// One that is not active just ends, and nothing is sent. Errors as for Do; the observation is over in any case.
func (o *Observation) Cancel(ctx context.Context) error {
	answer := make(chan error, 1)
	c, err := o.startCancel(answer)
	if err != nil {
		return fmt.Errorf("sending the request: %w", err)
	}
	if c == nil {
		return nil
	}
	select {
	case err = <-answer:
	case <-ctx.Done():
		o.s.mu.Lock()
		defer o.s.unlock()
		o.s.drop(c)
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("waiting for the response: %w", err)
	}
	return nil
}

// startCancel sends the cancellation; a nil call means that there is nothing to cancel.
func (o *Observation) startCancel(answer chan<- error) (*call, error) {
	o.s.mu.Lock()
	defer o.s.unlock()
	active := o.active
	if !o.listening || o.s.err != nil {
		return nil, nil
	}
	o.forget()
	o.abandonRest()
	if !active {
		return nil, nil
	}
	m := o.req.with()
	m.Options.SetUint(Observe, 1)
	c := &call{token: o.call.token, cancels: true, fn: func(_ *Message, err error) { answer <- err }}
	return c, o.s.begin(c, m)
}
