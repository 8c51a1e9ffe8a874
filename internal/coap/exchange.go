package coap

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// Exchange is one request of the peer and its answer. Safe for concurrent use.
type Exchange struct {
	s     *Session
	req   Message
	raw   []byte // options and payload of a request that came in one message
	typ   message.Type
	mid   uint16
	tkl   uint8
	token [maxToken]byte
	seen  uint64 // its number among the remembered ones, over UDP
	place int    // in the session's list plus one; 0 when not in it
	timer timer

	over     atomic.Bool // changed under the lock
	acked    bool        // the empty ACK went out
	unwanted bool        // the peer took its registration back before it was answered
	echo     []byte      // the Block1 option the answer carries; nil: none
	observer *Observer   // registered by the answer
	replayed bool        // by Server.Replay: the peer did not ask now

	// What the request usually takes is part of the exchange, so that it is one piece of memory.
	options [usualOptions]Option
	data    [usualSize]byte
}

// What a request of the usual size takes: the PUT of a mitigation has seven options and, with them, some 220 bytes.
const (
	usualOptions = 8
	usualSize    = 256
)

// idleCapacity is up to what capacity an empty list is kept for the next time.
const idleCapacity = 8

// newExchange begins an exchange for a request whose header is p.
func newExchange(s *Session, p packet) *Exchange {
	ex := &Exchange{s: s, typ: p.typ, mid: p.mid, tkl: uint8(len(p.token))}
	ex.req.Code, ex.req.NonConfirmable = p.code, !s.reliable && p.typ == message.NonConfirmable
	copy(ex.token[:], p.token)
	return ex
}

// decode reads the scanned options and the payload of the request. It keeps nothing of rest.
func (ex *Exchange) decode(rest []byte, scan optionScan) error {
	own := ex.data[:0]
	if len(rest) <= len(ex.data) {
		own = append(own, rest...)
	} else {
		own = bytes.Clone(rest)
	}
	ex.raw = own
	ex.req.Options = ex.options[:0]
	return ex.s.decode(own, scan, &ex.req)
}

// Session returns the session the request came in on.
func (ex *Exchange) Session() *Session { return ex.s }

// Request returns the request, with its whole body after block-wise reassembly. It is the exchange's, read-only.
func (ex *Exchange) Request() *Message { return &ex.req }

// Raw returns the options and the payload as they came, nil for a request that came in blocks. Requests of one method with the same bytes say the same.
// It is the exchange's, read-only.
func (ex *Exchange) Raw() []byte { return ex.raw }

// Replayed reports that the peer has asked another process, and has not asked again: see Server.Replay.
func (ex *Exchange) Replayed() bool { return ex.replayed }

// Respond answers the request, at most once; later calls, and calls after the session ended, are ignored. A NON
// request gets a NON response; a CON gets it with the acknowledgement while that is not sent yet, else in a CON of its
// own (or a NON, when resp says so). A body larger than a message is cut into blocks. A nil resp is Silence.
func (ex *Exchange) Respond(resp *Message) {
	ex.s.mu.Lock()
	defer ex.s.unlock()
	if ex.over.Load() {
		return
	}
	if resp == nil {
		ex.silence()
		return
	}
	ex.reply(ex.s.fitResponse(&ex.req, resp))
}

// Silence ends the exchange without a response. A CON still gets its empty ACK, so that the peer stops sending it.
func (ex *Exchange) Silence() {
	ex.s.mu.Lock()
	defer ex.s.unlock()
	ex.silence()
}

func (ex *Exchange) silence() {
	if ex.over.Load() {
		return
	}
	ex.acknowledge()
	ex.close()
}

// acknowledge sends the empty ACK of a CON request that is still without one. RFC 7252, Section 5.2.2.
func (ex *Exchange) acknowledge() {
	if ex.s.reliable || ex.typ != message.Confirmable || ex.acked || ex.s.err != nil {
		return
	}
	ex.acked = true
	ex.s.seen.answer(ex.seen, ex.s.sendEmpty(message.Acknowledgement, ex.mid), time.Now)
}

// close takes the exchange out of the session's books.
func (ex *Exchange) close() {
	ex.over.Store(true)
	ex.s.exchanges.remove(ex)
	if ex.timer.fire != nil {
		ex.s.timers.stop(&ex.timer)
	}
}

// exchanges are the requests of the peer that are not answered yet, in no order.
type exchanges []*Exchange

func (l *exchanges) add(ex *Exchange) {
	*l = append(*l, ex)
	ex.place = len(*l)
}

// remove takes an exchange out of the list if it is in it.
func (l *exchanges) remove(ex *Exchange) {
	if ex.place == 0 {
		return
	}
	list := *l
	last := len(list) - 1
	list[last].place = ex.place
	list[ex.place-1] = list[last]
	list[last] = nil
	ex.place = 0
	*l = list[:last]
	if last == 0 && cap(list) > idleCapacity {
		*l = nil
	}
}

// reply sends the response as it stands and ends the exchange. The lock is held.
func (ex *Exchange) reply(m *Message) {
	s := ex.s
	ex.close()
	if s.err != nil {
		return
	}
	p := packet{code: m.Code, token: ex.token[:ex.tkl], options: m.Options, payload: m.Payload}
	if ex.echo != nil {
		m = m.with()
		m.Options.Set(Block1, ex.echo)
		p.options = m.Options
	}
	switch {
	case s.reliable:
	case ex.typ == message.Confirmable && !ex.acked:
		// RFC 7252, Section 5.2.1: piggybacked.
		p.typ, p.mid = message.Acknowledgement, ex.mid
	case ex.typ == message.NonConfirmable, m.NonConfirmable:
		// RFC 7252, Section 5.2.3: a NON request is answered with a NON.
		p.typ, p.mid = message.NonConfirmable, s.nextMID()
	default:
		// RFC 7252, Section 5.2.2: separate.
		p.typ, p.mid = message.Confirmable, s.nextMID()
	}
	ex.transmit(p)
}

// transmit sends the response and remembers it for a duplicate of the request.
func (ex *Exchange) transmit(p packet) {
	s := ex.s
	b, _ := s.send(p) // over UDP a failed write is loss: the peer asks again
	if b == nil {
		p.code, p.options, p.payload = InternalServerError, nil, nil
		b, _ = s.send(p)
	}
	if s.reliable || b == nil {
		return
	}
	if !ex.acked {
		s.seen.answer(ex.seen, b, time.Now)
	}
	if ex.observer != nil {
		ex.observer.note(p.mid)
	}
	if p.typ == message.Confirmable {
		s.confirm(p.mid, bytes.Clone(b), func(err error) {
			if err != nil && ex.observer != nil {
				ex.observer.end()
			}
		})
	}
}

// serve hands the request to the handler and, if that has not answered at once, sees to the acknowledgement.
func (ex *Exchange) serve() {
	if ex.s.handler == nil {
		ex.Respond(diagnostic(NotFound, "nothing is served here"))
		return
	}
	defer ex.s.guard()
	defer ex.await()
	ex.s.handler.ServeCoAP(ex)
}

// await arms the timer of an exchange that is still open: for the empty ACK of a CON, else for its end, since nobody
// waits for an answer longer than EXCHANGE_LIFETIME.
func (ex *Exchange) await() {
	if ex.over.Load() { // the usual case costs nothing more
		return
	}
	s := ex.s
	s.mu.Lock()
	defer s.unlock()
	if ex.over.Load() {
		return
	}
	wait := s.conLife
	if !s.reliable && ex.typ == message.Confirmable {
		wait = s.params.ackDelay()
	}
	ex.timer.fire = ex
	s.timers.set(&ex.timer, time.Now().Add(wait))
}

// fired sends the empty ACK, or ends an exchange nobody answered.
func (ex *Exchange) fired() {
	s := ex.s
	defer s.guard()
	s.mu.Lock()
	defer s.unlock()
	switch {
	case ex.over.Load():
	case s.reliable || ex.typ != message.Confirmable || ex.acked:
		ex.close()
	default:
		ex.acknowledge()
		s.timers.set(&ex.timer, time.Now().Add(s.conLife))
	}
}

// accept takes a well-formed new request: it answers what the session answers itself, and returns the exchange when
// the handler must see it. The lock is held.
func (s *Session) accept(ex *Exchange) *Exchange {
	switch {
	case ex.req.Options.Has(ProxyUri), ex.req.Options.Has(ProxyScheme):
		// RFC 7252, Section 5.10.2: we are no forward proxy.
		ex.reply(diagnostic(ProxyingNotSupported, "not a forward proxy"))
		return nil
	case len(s.exchanges) >= s.limits.MaxExchanges:
		s.counters.Refused.Add(1)
		m := diagnostic(ServiceUnavailable, "too many requests under way")
		m.Options.AddUint(MaxAge, 2)
		ex.reply(m)
		return nil
	}
	if m := s.blockWise(ex); m != nil {
		ex.reply(m)
		return nil
	}
	if v, ok := ex.req.Options.Uint(Observe); ok && v == 1 && ex.req.Code == GET {
		s.deregister(ex)
	}
	s.exchanges.add(ex)
	return ex
}
