package coap

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// Observer is one observation of the peer's: RFC 7641, Section 4. Safe for concurrent use.
type Observer struct {
	s       *Session
	token   string
	key     string // cache key of the observed request
	request []byte // over UDP: the request as a NON, for another process to begin anew with
	onEnd   func()
	mids    [4]uint16 // of the newest notifications, to know an RST by
	noted   int
	next    time.Time // no notification before
	pending *Message
	timer   timer
	over    bool
}

// Observe answers a GET with Observe 0 with first and registers the peer as an observer. onEnd may be nil; it is called
// once, outside the session's lock, and must not block, when the observation is ended by the peer (RST, Observe 1, a new
// registration with the same token), by silence to a separate first response, by a notification larger than the peer
// takes, or by the end of the session, but not by Close or an error notification.
//
// It returns nil, and has answered without observing, when the request does not ask for an observation, first is not a
// success or larger than the peer takes, or Limits.MaxObservers is reached; and nil when the exchange was over already.
func (ex *Exchange) Observe(first *Message, onEnd func()) *Observer {
	s := ex.s
	s.mu.Lock()
	defer s.unlock()
	if ex.over.Load() || s.err != nil {
		return nil
	}
	token := string(ex.token[:ex.tkl])
	old := s.observers[token]
	full := old == nil && len(s.observers) >= s.limits.MaxObservers
	if full {
		s.counters.Refused.Add(1)
	}
	// RFC 7641, Section 4.1: a server that is unable or unwilling to observe answers without the option.
	if full || !ex.registers() || !first.Code.Success() {
		ex.reply(s.fitResponse(&ex.req, first))
		return nil
	}
	if old != nil {
		old.end() // RFC 7641, Section 4.1: the entry is replaced, not doubled
	}
	notice := s.fitResponse(&ex.req, s.observed(first))
	if !notice.Code.Success() { // it is too large for the peer
		ex.reply(notice)
		return nil
	}
	o := &Observer{s: s, token: token, key: responseKey(&ex.req), onEnd: onEnd}
	o.timer.fire = o
	if !s.reliable {
		o.request = ex.datagram()
	}
	if s.observers == nil {
		s.observers = make(map[string]*Observer)
	}
	s.observers[token] = o
	ex.observer = o
	ex.reply(notice)
	return o
}

// datagram is the request as a NON, whatever it came as; nil: it cannot be said. The lock is held.
func (ex *Exchange) datagram() []byte {
	b, err := ex.s.encode(packet{
		typ: message.NonConfirmable, code: ex.req.Code, token: ex.token[:ex.tkl], options: ex.req.Options, payload: ex.req.Payload,
	})
	if err != nil {
		return nil
	}
	return bytes.Clone(b)
}

// registers reports whether the request asks for an observation, and still does.
func (ex *Exchange) registers() bool {
	v, asked := ex.req.Options.Uint(Observe)
	return asked && v == 0 && ex.req.Code == GET && !ex.unwanted
}

// deregister ends what a request with Observe 1 takes back: RFC 7641, Section 3.6: the registration with its token, be it
// answered or not.
func (s *Session) deregister(ex *Exchange) {
	if o := s.observers[string(ex.token[:ex.tkl])]; o != nil {
		o.end()
	}
	for _, other := range s.exchanges {
		if other.tkl == ex.tkl && other.token == ex.token {
			other.unwanted = true
		}
	}
}

// observed returns m with the Observe option of a notification.
//
// RFC 7641, Section 4.4: the sequence number grows with every notification; one counter serves the whole session.
// RFC 8323, Section 7.1: over TCP order is the transport's, so the value is empty.
func (s *Session) observed(m *Message) *Message {
	m = m.with()
	if s.reliable {
		m.Options.Set(Observe, nil)
		return m
	}
	s.sequence = (s.sequence + 1) & 0xffffff
	m.Options.SetUint(Observe, s.sequence)
	return m
}

// Notify sends a notification, as NON over UDP, where at most one goes out per Limits.NotifyInterval: a newer one
// replaces one that still waits. It never waits itself. m is kept until it is sent and must not be changed. An error
// code (4.00 and above) ends the observation once sent. After the end it does nothing.
func (o *Observer) Notify(m *Message) {
	o.s.mu.Lock()
	defer o.s.unlock()
	if o.over || m == nil {
		return
	}
	o.pending = m
	o.flush(time.Now())
}

// flush sends the pending notification, or arms the timer for it.
func (o *Observer) flush(now time.Time) {
	switch {
	case o.over, o.pending == nil:
	case o.s.reliable, !now.Before(o.next):
		m := o.pending
		o.pending = nil
		o.transmit(m, now)
	default:
		o.s.timers.set(&o.timer, o.next)
	}
}

// fired is called when the interval since the last notification is over.
func (o *Observer) fired() {
	defer o.s.guard()
	o.s.mu.Lock()
	defer o.s.unlock()
	o.flush(time.Now())
}

// transmit sends a notification.
//
// RFC 9132, Section 4.4.2.1: it is NON always, in place of the CON that RFC 7641, Section 4.5 wants once a day; an
// observer that is gone is found out by its heartbeats.
func (o *Observer) transmit(m *Message, now time.Time) {
	s := o.s
	// RFC 7641, Section 4.5.1: NON notifications are paced.
	o.next = now.Add(max(s.limits.NotifyInterval, 0))
	meant := m.Code.Class() >= 4
	if !meant {
		m = s.fitNotification(o.key, s.observed(m))
	}
	last := m.Code.Class() >= 4
	if last {
		// RFC 7641, Section 4.2: an error carries no Observe option and ends the observation.
		m = m.with()
		m.Options.Remove(Observe)
	}
	p := packet{typ: message.NonConfirmable, code: m.Code, token: []byte(o.token), options: m.Options, payload: m.Payload}
	if !s.reliable {
		p.mid = s.nextMID()
	}
	_, err := s.send(p)
	switch {
	case meant:
		o.remove()
	case last:
		o.end() // the state is too large for the peer, which its owner cannot know
	case errors.Is(err, syscall.ECONNREFUSED):
		// RFC 7641, Section 4.5: the peer's host says that nobody is there.
		o.end()
	default:
		o.note(p.mid)
	}
}

// note remembers the message id of a notification.
func (o *Observer) note(mid uint16) {
	o.mids[o.noted%len(o.mids)] = mid
	o.noted++
}

// sentAs reports whether one of the newest notifications had the message id.
func (o *Observer) sentAs(mid uint16) bool {
	for _, m := range o.mids[:min(o.noted, len(o.mids))] {
		if m == mid {
			return true
		}
	}
	return false
}

// Close ends the observation without a further notification. Later calls do nothing.
func (o *Observer) Close() {
	o.s.mu.Lock()
	defer o.s.unlock()
	o.remove()
}

// end ends the observation for a reason that is not its owner's, and tells the owner.
func (o *Observer) end() {
	if o.over {
		return
	}
	o.remove()
	if o.onEnd != nil {
		o.s.later(o.onEnd)
	}
}

// remove takes the observation out of the session's books.
func (o *Observer) remove() {
	if o.over {
		return
	}
	o.over, o.pending = true, nil
	o.s.timers.stop(&o.timer)
	if o.s.observers[o.token] == o {
		delete(o.s.observers, o.token)
	}
}
