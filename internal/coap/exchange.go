package coap

import (
	"bytes"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

// Exchange is one request of the peer and its answer. Safe for concurrent use.
type Exchange struct {
	s     *Session
	req   Message
	typ   message.Type
	mid   uint16
	tkl   uint8
	token [maxToken]byte
	seen  *remembered // over UDP
	timer timer

	acked    bool // the empty ACK went out
	over     bool
	unwanted bool      // the peer took its registration back before it was answered
	echo     []byte    // the Block1 option the answer carries; nil: none
	observer *Observer // registered by the answer
}

// newExchange begins an exchange for a request whose header is p.
func newExchange(s *Session, p packet) *Exchange {
	ex := &Exchange{s: s, typ: p.typ, mid: p.mid, tkl: uint8(len(p.token))}
	copy(ex.token[:], p.token)
	return ex
}

// Session returns the session the request came in on.
func (ex *Exchange) Session() *Session { return ex.s }

// Request returns the request, with its whole body after block-wise reassembly. It is the exchange's, read-only.
func (ex *Exchange) Request() *Message { return &ex.req }

// Respond answers the request, at most once; later calls, and calls after the session ended, are ignored. A NON
// request gets a NON response; a CON gets it with the acknowledgement while that is not sent yet, else in a CON of its
// own (or a NON, when resp says so). A body larger than a message is cut into blocks. A nil resp is Silence.
func (ex *Exchange) Respond(resp *Message) {
	ex.s.mu.Lock()
	defer ex.s.unlock()
	if ex.over {
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
	if ex.over {
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
	ex.s.seen.answer(ex.seen, ex.s.sendEmpty(message.Acknowledgement, ex.mid), time.Now())
}

// close takes the exchange out of the session's books.
func (ex *Exchange) close() {
	ex.over = true
	delete(ex.s.exchanges, ex)
	if ex.timer.fire != nil {
		ex.s.timers.stop(&ex.timer)
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
	own := bytes.Clone(b)
	if !ex.acked {
		s.seen.answer(ex.seen, own, time.Now())
	}
	if ex.observer != nil {
		ex.observer.note(p.mid)
	}
	if p.typ == message.Confirmable {
		s.confirm(p.mid, own, func(err error) {
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
	s := ex.s
	s.mu.Lock()
	defer s.unlock()
	if ex.over {
		return
	}
	wait := s.params.ExchangeLifetime()
	if !s.reliable && ex.typ == message.Confirmable {
		wait = s.params.ackDelay()
	}
	ex.timer.fire = ex.expire
	s.timers.set(&ex.timer, time.Now().Add(wait))
}

// expire sends the empty ACK, or ends an exchange nobody answered.
func (ex *Exchange) expire() {
	s := ex.s
	defer s.guard()
	s.mu.Lock()
	defer s.unlock()
	switch {
	case ex.over:
	case s.reliable || ex.typ != message.Confirmable || ex.acked:
		ex.close()
	default:
		ex.acknowledge()
		s.timers.set(&ex.timer, time.Now().Add(s.params.ExchangeLifetime()))
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
	if s.exchanges == nil {
		s.exchanges = make(map[*Exchange]struct{})
	}
	s.exchanges[ex] = struct{}{}
	return ex
}
