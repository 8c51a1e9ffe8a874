package upstream

import (
	"math"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Times of the session configuration.
const (
	// RFC 9132, Section 4.5.3: without Max-Age a configuration is asked for each 60 seconds.
	freshWithoutAge = 60 * time.Second
	// how long after an answer that forgot our configuration it is negotiated again, and an unanswered refresh is asked again
	anewAfter = 60 * time.Second
	// how long after a server that was silent or unable negotiating is tried again
	tryAfter = 300 * time.Second
	// noExpiry is the Max-Age of what stays fresh (RFC 9132, Section 4.5.3).
	noExpiry = math.MaxUint32
)

// question is one request of the session configuration. sid is 0 where the ranges are asked for.
type question struct {
	op      wire.Op
	sid     uint64
	observe bool
	config  dots.SessionConfig // of a PUT
}

// request is the question in the words of the wire.
func (q question) request() wire.Request {
	r := wire.Request{Op: q.op, Config: q.config}
	if q.sid != 0 {
		r.SID = dots.Some(q.sid)
	}
	if q.observe {
		r.Observe = dots.Some[uint32](0)
	}
	return r
}

// effect is what an answer means to whoever watches.
type effect uint8

const (
	effectNone       effect = iota
	effectInstalled         // what we asked for is in force
	effectChanged           // the server put something else in force
	effectForgotten         // the server forgot it: defaults are in force
	effectRefused           // the server does not take it: what was in force stays
	effectWithdrawn         // the defaults are in force again, as we wanted
	effectUnanswered        // no answer came
)

// step is what a negotiation asks next.
type step uint8

const (
	stepNone   step = iota
	stepRanges      // GET: what the server accepts
	stepPut         // PUT of what we choose
	stepRead        // GET of what was installed: at first to observe it, then to keep it fresh
	stepDelete      // DELETE: back to the defaults
)

// negotiation is the client half of the configuration of one session (RFC 9132, Section 4.5): which request is due, and what is in
// force. It is pure: no goroutine, lock or clock. The zero value wants the defaults, which are in force.
type negotiation struct {
	wish    dots.SessionConfig // current values only; zero: the defaults
	given   dots.SessionConfig // current values in force; what is absent is at its default. Only hold changes it
	holds   uint64             // how often it did
	asked   dots.SessionConfig // what the newest accepted PUT said
	ranges  dots.SessionConfig // what the server said to accept
	sid     uint64             // of what is installed; 0: nothing is
	step    step
	at      time.Time // not before; zero: now
	asking  bool      // a request is under way
	redone  bool      // 4.22 was answered once
	stale   bool      // the wish changed while a request was under way
	watched bool      // we have asked to be told of changes
}

// want states what is wanted from now on.
func (n *negotiation) want(wish dots.SessionConfig) {
	if wish == n.wish {
		return
	}
	n.wish = wish
	if n.asking {
		n.stale = true // the answer under way must find the step that it belongs to
		return
	}
	n.begin()
}

// begin starts over with what is wanted.
func (n *negotiation) begin() {
	n.at, n.redone, n.stale = time.Time{}, false, false
	switch {
	case n.wish != dots.SessionConfig{}:
		n.step = stepRanges
	case n.sid != 0:
		// RFC 9132, Section 4.5.4: a DELETE puts the defaults in force.
		n.step = stepDelete
	default:
		n.step = stepNone
	}
}

// next returns the question that is due. Quiet: no mitigation is active and no request of one waits, so that none has to wait for a question
// (RFC 9132, Section 4.5.3: no refreshes during an attack). The next sid is taken from sid when a PUT is due.
func (n *negotiation) next(now time.Time, quiet bool, sid func() uint64) (question, bool) {
	if n.asking || !quiet || n.step == stepNone || now.Before(n.at) {
		return question{}, false
	}
	n.asking = true
	switch n.step {
	case stepPut:
		return question{op: wire.PutConfig, sid: sid(), config: choose(n.wish, n.ranges)}, true
	case stepRead:
		return question{op: wire.GetConfig, sid: n.sid, observe: !n.watched}, true
	case stepDelete:
		return question{op: wire.DeleteConfig, sid: n.sid}, true
	}
	return question{op: wire.GetConfig}, true
}

// deadline is when time alone makes next give a question; zero: never.
func (n *negotiation) deadline(quiet bool) time.Time {
	if n.asking || !quiet || n.step == stepNone {
		return time.Time{}
	}
	return n.at
}

// unanswered takes it that no usable answer to a question came.
func (n *negotiation) unanswered(now time.Time, q question) effect {
	n.asking = false
	n.at = now.Add(tryAfter)
	switch {
	case n.stale:
		n.begin()
	case q.op == wire.PutConfig:
		n.step = stepRanges // it may have been installed: the next one has a higher sid and replaces it
	case n.step == stepRead:
		n.at = now.Add(anewAfter)
	}
	return effectUnanswered
}

// answered takes the answer to a question.
func (n *negotiation) answered(now time.Time, q question, r wire.Response) (e effect) {
	n.asking = false
	switch {
	case q.op == wire.DeleteConfig:
		// RFC 9132, Section 4.5.4: 2.02; whatever else is answered, the server does not keep our values any more or never did.
		n.sid, e = 0, effectWithdrawn
		n.hold(dots.SessionConfig{})
		n.step = stepNone
	case q.op == wire.PutConfig:
		e = n.put(now, q, r)
	case q.sid == 0:
		e = n.offered(now, r)
	default:
		e = n.read(now, q, r)
	}
	if n.stale {
		n.begin()
	}
	return e
}

// offered takes the ranges.
func (n *negotiation) offered(now time.Time, r wire.Response) effect {
	if !r.Code.Success() {
		return n.refused(now, r)
	}
	n.ranges, n.step, n.at = r.Config, stepPut, time.Time{}
	return effectNone
}

// put takes the answer to a PUT.
func (n *negotiation) put(now time.Time, q question, r wire.Response) effect {
	switch {
	case r.Code.Success():
		n.sid, n.asked = q.sid, q.config
		n.hold(bounded(q.config, q.config))
		n.step, n.at, n.watched = stepRead, time.Time{}, false
		return effectInstalled
	case r.Code == dots.CodeUnprocessable && !n.redone:
		// RFC 9132, Section 4.5.2: after a 4.22 the client asks for the ranges that are accepted.
		n.redone, n.step, n.at = true, stepRanges, time.Time{}
		return effectNone
	}
	return n.refused(now, r)
}

// refused takes an answer that says no: what is in force stays, and is kept fresh where it was negotiated.
func (n *negotiation) refused(now time.Time, r wire.Response) effect {
	switch {
	case r.Code.Class() == 5:
		wait := tryAfter
		if r.MaxAge.Set {
			wait = max(wait, time.Duration(r.MaxAge.Value)*time.Second)
		}
		n.step, n.at = stepRanges, now.Add(wait)
	case n.sid != 0:
		n.step, n.at = stepRead, now.Add(anewAfter)
	default:
		n.step = stepNone
	}
	return effectRefused
}

// read takes what the server says to be installed: an answer, or a notification.
func (n *negotiation) read(now time.Time, q question, r wire.Response) effect {
	switch {
	case q.sid != n.sid:
		return effectNone // of what was replaced meanwhile
	case r.Code.Success():
		n.step, n.at = stepRead, now.Add(freshFor(r.MaxAge))
		n.watched = n.watched || q.observe
		return n.hold(bounded(r.Config, n.asked))
	case r.Code == dots.CodeNotFound:
		// The server has lost it, so that its own defaults are in force: ours must be, too.
		n.sid = 0
		n.hold(dots.SessionConfig{})
		n.begin()
		n.at = now.Add(anewAfter)
		return effectForgotten
	}
	n.step, n.at = stepRead, now.Add(anewAfter)
	return effectNone
}

// noticed takes a notification of what is installed under a sid (RFC 9132, Section 4.5.3). It changes what is in force, and not what is asked
// next, where that is more than to look again.
func (n *negotiation) noticed(now time.Time, sid uint64, r wire.Response) effect {
	if !n.asking && n.step == stepRead {
		return n.read(now, question{op: wire.GetConfig, sid: sid}, r)
	}
	if sid != n.sid || !r.Code.Success() {
		return effectNone
	}
	return n.hold(bounded(r.Config, n.asked))
}

// hold puts values in force, and tells whether they are others.
func (n *negotiation) hold(given dots.SessionConfig) effect {
	if n.given == given {
		return effectNone
	}
	n.given = given
	n.holds++
	return effectChanged
}

// freshFor is how long after an answer the next one is asked for.
func freshFor(age dots.Maybe[uint32]) time.Duration {
	switch {
	case !age.Set || age.Value == 0:
		return freshWithoutAge
	case age.Value == noExpiry:
		// RFC 9132, Section 4.5.3: never expires; once in a century is as good.
		return 100 * 365 * 24 * time.Hour
	}
	// RFC 9132, Section 4.5.3: before it expires; a lost datagram or two do not make it late.
	return time.Duration(age.Value) * time.Second * 9 / 10
}
