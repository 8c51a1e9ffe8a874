package upstream

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// made is a session that stands, and the server that it was made to. It counts as where we are once it is served.
type made struct {
	conn *coap.Session // nil: none
	at   stay
}

// link is one uplink: its plan, and the session that works it off.
type link struct {
	cfg     Config
	name    string
	profile wire.Profile
	dial    func(context.Context, Destination) (*coap.Session, error)
	follows bool          // redirects are followed
	toUDP   time.Duration // between two attempts to get from TCP to UDP; 0: none are made
	log     *slog.Logger
	wake    chan struct{} // capacity 1: something changed
	late    chan made     // capacity 1: one over UDP, to go on with after one over TCP

	// order holds the turn to tell the core, so that it hears of an uplink's events in the order in which the plan took
	// them. It is taken before mu.
	order chan struct{}

	mu       sync.Mutex
	plan     *plan
	session  *session // nil: none
	up       bool     // the core was told LinkUp, and not LinkDown since
	since    time.Time
	dialling time.Time // when the attempt began that is under way while there is no session; zero: none is
	tried    time.Time // when the newest attempt to make a session began, whatever for; zero: there was none
	failures int
	lastErr  string
	course   course
	udpTried time.Time          // when UDP was tried last, as far as it is for the way back from TCP
	over     bool               // nothing is taken from late any more
	looped   time.Time          // when a redirect loop was told last
	wish     dots.SessionConfig // of the parameters of sessions
	wishes   uint64             // counts them, from 1
	refused  bool               // that the uplink does not negotiate them was told
	sid      uint64             // of the newest session configuration that was asked for, on whatever session
}

func newLink(cfg Config, lc LinkConfig) *link {
	return &link{
		cfg: cfg, name: lc.Name, profile: lc.Profile, dial: lc.dialTo(), follows: lc.DialTo != nil && !lc.IgnoreRedirects, toUDP: lc.ProbeUDP,
		course: course{home: lc.Server}, log: cfg.Logger.With("uplink", lc.Name),
		wish: lc.Session, wishes: 1,
		wake: make(chan struct{}, 1), late: make(chan made, 1), order: make(chan struct{}, 1), plan: newPlan(cfg.MaxInFlight, cfg.timing()),
	}
}

// run keeps a session until ctx ends.
func (l *link) run(ctx context.Context) {
	l.cfg.Meter.UplinkUp(l.name, false)
	defer l.endLate()
	var next made
	for {
		if next.conn == nil {
			if next = l.await(ctx); next.conn == nil {
				return
			}
			l.tellUp()
		}
		var reason error
		began := l.cfg.Now()
		next, reason = l.serve(ctx, next)
		if ctx.Err() != nil {
			if next.conn != nil {
				_ = next.conn.Close() // made just when everything ended
			}
			return
		}
		if next.conn == nil {
			l.lost(reason, l.cfg.Now().Sub(began))
		}
	}
}

// await returns the session to begin with: one that an attempt makes, or one that came late. Without one, ctx ended.
func (l *link) await(ctx context.Context) made {
	for {
		m, due := l.pause(ctx)
		if due {
			m = l.connect(ctx)
		}
		if m.conn != nil || ctx.Err() != nil {
			return m
		}
	}
}

// serve works the plan off over a session until that or ctx ends, and returns the session that replaces it, if any.
func (l *link) serve(ctx context.Context, m made) (made, error) {
	s := newSession(l, m.conn)
	l.mu.Lock()
	l.arrived(m)
	l.session, l.since = s, l.cfg.Now()
	l.plan.connected()
	l.mu.Unlock()
	l.log.Info("uplink session up", "session", m.conn.ID(), "transport", m.conn.Transport(), "remote", m.conn.RemoteAddr())
	next, reason := s.run(ctx)
	l.mu.Lock()
	l.session, l.since = nil, l.cfg.Now()
	if next.conn == nil { // else all is well: one over UDP follows one over TCP, or one that answers
		l.lastErr = reason.Error()
	}
	l.plan.disconnected()
	l.mu.Unlock()
	return next, reason
}

// lost tells of the end of a session. One that did not live for as long as attempts are apart in idle time counts as a failed
// attempt, so that a server that accepts and hangs up is not asked at once again and again.
func (l *link) lost(reason error, lived time.Duration) {
	l.log.Warn("uplink session lost", "err", reason)
	l.tellDown(reason, lived)
}

// tellUp tells that there is a session.
func (l *link) tellUp() {
	l.mu.Lock()
	l.up = true
	l.mu.Unlock()
	l.cfg.Meter.UplinkUp(l.name, true)
	l.cfg.Events.LinkUp(l.name)
}

// tellDown tells that there is none any more, and counts.
func (l *link) tellDown(reason error, lived time.Duration) {
	l.mu.Lock()
	l.up = false
	if lived >= l.cfg.Backoff.MinIdle {
		l.failures = 0
	} else {
		l.failures++
	}
	l.mu.Unlock()
	l.cfg.Meter.UplinkUp(l.name, false)
	l.cfg.Events.LinkDown(l.name, reason.Error())
}

// dialPatience is how long an attempt goes on in silence: a handshake over a path that loses datagrams may take a minute.
const dialPatience = 10 * time.Second

// connect makes one attempt; without a session it failed.
func (l *link) connect(ctx context.Context) made {
	l.mu.Lock()
	l.dialling = l.cfg.Now()
	first := l.failures == 0
	l.mu.Unlock()
	slow := time.AfterFunc(dialPatience, func() {
		if first { // later ones have said already how the first ended
			l.log.Warn("uplink does not answer, still dialling", "for", dialPatience)
		}
	})
	defer slow.Stop()
	m, err := l.attempt(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialling = time.Time{}
	if err != nil {
		if ctx.Err() == nil {
			l.failures++
			l.lastErr = err.Error()
			l.log.Warn("dialling an uplink failed", "err", err, "failures", l.failures)
		}
		return made{}
	}
	return m
}

// attempt dials the server that sessions are to be made to, within the time limit.
func (l *link) attempt(ctx context.Context) (made, error) {
	l.mu.Lock()
	now, active := l.cfg.Now(), l.plan.active > 0
	to := l.course.heading(now, active)
	l.tried, l.udpTried = now, now
	l.mu.Unlock()
	better := func(conn *coap.Session) { l.better(made{conn, to}) }
	conn, err := l.make(ctx, Destination{Urgent: active, Alternate: to.alternate, Better: better})
	if err == nil {
		return made{conn, to}, nil
	}
	if ctx.Err() == nil { // else it says nothing of the server
		l.missed(to)
	}
	return made{}, err
}

// make dials within the time limit.
func (l *link) make(ctx context.Context, to Destination) (*coap.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.DialTimeout)
	defer cancel()
	s, err := l.dial(ctx, to)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, errors.New("dialling gave no session")
	}
	l.tune(s)
	return s, nil
}

// tune puts in force what holds for every session from its beginning, beside another one, too.
func (l *link) tune(conn *coap.Session) {
	p := conn.Parameters()
	p.RepeatInterval = l.cfg.RepeatInterval
	conn.SetParameters(p)
}

// begun notes that an attempt to make a session begins.
func (l *link) begun(now time.Time) {
	l.mu.Lock()
	l.tried = now
	l.mu.Unlock()
}

// pause waits until the next attempt may begin, or a session comes late; neither: ctx ended. A mitigation that comes to be wanted meanwhile
// shortens the wait. What is measured from is the newest attempt of all, so that neither a session that ends, however it does, nor
// one made beside another, nor a restart of the link brings the next one nearer (RFC 9132, Section 4.7).
func (l *link) pause(ctx context.Context) (late made, due bool) {
	chance := l.cfg.Rand()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		l.mu.Lock()
		wait := l.cfg.Backoff.delay(l.failures, l.plan.active > 0, chance)
		tried := l.tried
		if l.course.moving { // a redirect's server was not tried yet; how many there may be is bounded
			tried = time.Time{}
		}
		l.mu.Unlock()
		wait -= l.cfg.Now().Sub(tried)
		if tried.IsZero() || wait <= 0 {
			return made{}, true
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case late = <-l.late:
			if l.fits(late) {
				return late, false
			}
		case <-l.wake:
		case <-timer.C:
		}
	}
	return made{}, false
}

func (l *link) base() *link { return l }

// toldUp reports whether the core takes the link to be up.
func (l *link) toldUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// wanted returns what is wanted, by cuid and mid.
func (l *link) wanted() []dots.Leg {
	l.mu.Lock()
	defer l.mu.Unlock()
	legs := make([]dots.Leg, 0, len(l.plan.entries))
	for _, key := range slices.SortedFunc(maps.Keys(l.plan.entries), byCUID) {
		legs = append(legs, l.plan.entries[key].want)
	}
	return legs
}

func (l *link) want(legs []dots.Leg) {
	l.change(func(p *plan) []uint64 { return p.want(legs) })
}

func (l *link) forget(keys []dots.LegKey) {
	l.change(func(p *plan) []uint64 { return p.forget(keys) })
}

// change changes the wanted set and gives up the requests that it supersedes.
func (l *link) change(f func(*plan) []uint64) {
	var over []*turn
	l.mu.Lock()
	superseded := f(l.plan)
	s := l.session
	if s != nil {
		over = s.giveUp(superseded)
	}
	l.mu.Unlock()
	l.rouse()
	for _, t := range over {
		l.cfg.Meter.Request(l.name, t.job.method(), dots.CodeSilent)
		t.drop(s)
	}
}

// rouse makes the loop look again.
func (l *link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tell lets the plan take something in, and tells the core what follows, in this order.
func (l *link) tell(f func(p *plan, now time.Time) []event) {
	l.order <- struct{}{}
	defer func() { <-l.order }()
	l.mu.Lock()
	before := l.plan.blind
	events := f(l.plan, l.cfg.Now())
	blind := l.plan.blind
	l.mu.Unlock()
	l.rouse()
	l.alarm(before, blind)
	for _, e := range events {
		if e.answer.Set {
			l.cfg.Events.Answered(e.answer.Value)
		} else {
			l.cfg.Events.Reported(l.name, e.cuid, e.complete, e.reports)
		}
	}
}

// note lets the plan take something in of which the core is told nothing.
func (l *link) note(f func(p *plan, now time.Time)) {
	l.mu.Lock()
	before := l.plan.blind
	f(l.plan, l.cfg.Now())
	blind := l.plan.blind
	l.mu.Unlock()
	l.rouse()
	l.alarm(before, blind)
}

// alarm tells once that the status of mitigations cannot be had as a list, and once that it can.
func (l *link) alarm(before, blind int) {
	switch {
	case before == 0 && blind > 0:
		l.log.Error("status list of uplink cannot be had, asking for each mitigation")
	case before > 0 && blind == 0:
		l.log.Info("status list of uplink can be had again")
	}
}

// info is what the operator sees.
func (l *link) info() LinkInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.facts()
	i.Profile = l.profile.Name()
	i.Redirected, i.RedirectedUntil = l.course.at.alternate.Server, l.course.at.until
	if s := l.session; s != nil {
		i.Up, i.Session, i.Reliable, i.LastHeard = true, s.conn.ID(), s.conn.Reliable(), s.conn.LastHeard()
		i.Remote = s.conn.RemoteAddr().String()
		if rtt, known := s.conn.RTT(); known {
			i.RTT = dots.Some(rtt)
		}
		i.Suspect, i.SID, i.Heartbeat = s.pulse.told == liveness.Suspect, s.talk.sid, s.pulse.cfg.Interval
	}
	return i
}

// facts is what every line shows. mu is held.
func (l *link) facts() LinkInfo {
	i := LinkInfo{
		Name: l.name, Since: l.since, Dialling: l.dialling, Failures: l.failures, LastError: l.lastErr,
		Legs: l.plan.counts, CUIDs: len(l.plan.lists), Blind: l.plan.blind,
	}
	for _, n := range l.plan.inFlight {
		i.InFlight += n
	}
	return i
}

// method is the CoAP method of a job.
func (j job) method() wire.Method {
	switch j.kind {
	case kindPut:
		return wire.PUT
	case kindDelete:
		return wire.DELETE
	}
	return wire.GET
}

// request is what a job asks, in the words of the wire.
func (j job) request() wire.Request {
	r := wire.Request{CUID: j.leg.Key.CUID, CDID: j.leg.CDID, MID: dots.Some(j.leg.Key.MID)}
	switch j.kind {
	case kindPut:
		r.Op, r.Efficacy, r.Mitigation = wire.PutMitigation, j.leg.Efficacy, j.leg.Request
		r.Mitigation.MID = j.leg.Key.MID
	case kindDelete:
		r.Op = wire.DeleteMitigation
	case kindCheck, kindStatus:
		r.Op = wire.GetMitigations
	case kindList:
		r.Op, r.MID = wire.GetMitigations, dots.Maybe[uint32]{}
		if j.register {
			r.Observe = dots.Some[uint32](0)
		}
	}
	// RFC 8768, Section 3: what was forwarded says how far it may go.
	if h := j.leg.HopLimit; h != 0 {
		r.HopLimit = dots.Some(uint32(h))
	}
	return r
}
