package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// pipe is one end of a link in memory.
type pipe struct {
	reliable bool
	out      chan []byte
	once     *sync.Once // of both ends
	over     chan struct{}
	note     func(b []byte) (lost bool) // nil: nothing is lost
}

func (p *pipe) WriteRecord(b []byte) error {
	if p.note != nil && p.note(b) {
		return nil
	}
	select {
	case p.out <- bytes.Clone(b):
	case <-p.over:
	}
	return nil
}

func (p *pipe) Close() error {
	if p.reliable {
		p.once.Do(func() { close(p.over) })
	}
	return nil
}
func (p *pipe) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (p *pipe) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4646} }
func (p *pipe) Reliable() bool       { return p.reliable }

// errNoRoute is what dialling gives when the test says so.
var errNoRoute = errors.New("no route")

// moment is something that happened, in time since the start.
type moment struct {
	At   time.Duration
	What string
}

func (m moment) String() string { return fmt.Sprintf("%v %s", m.At, m.What) }

// world is a manager with a fake server, in virtual time.
type world struct {
	*testing.T
	start   time.Time
	profile wire.Profile
	manager *Manager
	timers  *coap.Timers
	ctx     context.Context
	tasks   sync.WaitGroup
	events  *recorder

	mu         sync.Mutex
	reliable   bool
	limits     coap.Limits // of our sessions
	refuse     error       // of Dial
	dials      []time.Duration
	lose       func() bool                                    // whether a datagram is lost; nil: none is
	lossy      bool                                           // what we send is lost
	deaf       bool                                           // what the server sends is lost
	sent       []moment                                       // datagrams of ours with a request
	asked      []moment                                       // requests that reached the server, heartbeats left out
	answer     func(req wire.Request) (wire.Response, bool)   // false: no answer
	raw        func(req wire.Request, ex *coap.Exchange) bool // true: it has answered
	registered []byte                                         // token of our newest GET with Observe 0 over UDP
	down       chan<- []byte                                  // what the server sends on the newest session
	server     *coap.Session
	forgets    *coap.Session // a server's side that hears nothing any more
	clients    []*coap.Session
	observer   *coap.Observer
	standing   map[uint32]dots.Status
}

// newWorld makes a manager for uplink "a"; change may alter its configuration. Everything is stopped and waited for at
// the end of the test.
func newWorld(t *testing.T, change func(*Config)) *world {
	w := &world{
		T: t, start: time.Now(), profile: rfc9132.New(), timers: coap.NewTimers(), events: &recorder{start: time.Now()},
		standing: map[uint32]dots.Status{}, limits: SessionLimits(),
	}
	w.answer = w.serve
	cfg := Config{
		Events: w.events, Rand: func() float64 { return 0 }, Backoff: Backoff{Jitter: -1},
		Links: []LinkConfig{{Name: "a", Profile: w.profile, Dial: w.dial}},
	}
	if change != nil {
		change(&cfg)
	}
	w.profile = cfg.Links[0].Profile
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.manager = m
	return w
}

// run lets the manager run until the test ends.
func (w *world) run() {
	ctx, stop := context.WithCancel(context.Background())
	life, end := context.WithCancel(context.Background())
	w.ctx = life
	w.tasks.Go(func() { _ = w.timers.Run(life) })
	done := make(chan error, 1)
	go func() { done <- w.manager.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.Error(err)
		}
		w.mu.Lock()
		server := w.server
		w.mu.Unlock()
		if server != nil {
			_ = server.Close()
		}
		end()
		w.tasks.Wait()
	})
	synctest.Wait()
}

// dial makes a pair of sessions.
func (w *world) dial(context.Context) (*coap.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials = append(w.dials, time.Since(w.start))
	if w.refuse != nil {
		return nil, w.refuse
	}
	over, once := make(chan struct{}), new(sync.Once)
	up, down := make(chan []byte, 256), make(chan []byte, 256)
	ours := &pipe{reliable: w.reliable, out: up, over: over, once: once, note: w.leaving}
	theirs := &pipe{reliable: w.reliable, out: down, over: over, once: once, note: func([]byte) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.deaf || w.lose != nil && w.lose()
	}}
	client := w.session(ours, w.manager.Handler(), w.limits)
	server := w.session(theirs, coap.HandlerFunc(w.handle), coap.Limits{})
	w.server, w.down = server, down
	w.clients = append(w.clients, client)
	w.mu.Unlock()
	defer w.mu.Lock() // starting a session writes to the link
	client.Start()
	server.Start()
	w.pump(client, down, over)
	w.pump(server, up, over)
	return client, nil
}

func (w *world) session(l coap.Link, h coap.Handler, limits coap.Limits) *coap.Session {
	limits.NotifyInterval = -1
	s, err := coap.NewSession(coap.SessionConfig{Link: l, Timers: w.timers, Handler: h, Limits: limits})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// pump feeds a session, until the link or the test is over.
func (w *world) pump(s *coap.Session, in chan []byte, over chan struct{}) {
	w.tasks.Go(func() {
		for {
			select {
			case b := <-in:
				w.mu.Lock()
				deaf := w.forgets == s
				w.mu.Unlock()
				if !deaf {
					s.Input(b)
				}
			case <-over:
				s.InputClosed(nil)
				return
			case <-w.ctx.Done():
				return
			}
		}
	})
}

// leaving notes a request that we send over UDP, by its code.
func (w *world) leaving(b []byte) bool {
	names := map[byte]string{1: "GET", 3: "PUT", 4: "DELETE"}
	w.mu.Lock()
	lossy := w.lossy || w.lose != nil && w.lose()
	if head := 4 + int(b[0]&15); b[1] == 1 && !w.reliable && b[head] == 0x60 {
		w.registered = bytes.Clone(b[4:head])
	}
	if name := names[b[1]]; name != "" && !w.reliable && !bytes.Contains(b, []byte("\x02hb")) {
		w.sent = append(w.sent, moment{time.Since(w.start), name})
	}
	w.mu.Unlock()
	return lossy
}

// handle is the server's side.
func (w *world) handle(ex *coap.Exchange) {
	req, err := w.profile.DecodeRequest(carry.Request(ex.Request()))
	if err != nil {
		w.Errorf("request refused by the server: %v", err)
		ex.Respond(&coap.Message{Code: coap.BadRequest})
		return
	}
	w.mu.Lock()
	answer, raw := w.answer, w.raw
	what := describe(req)
	w.asked = append(w.asked, moment{time.Since(w.start), what})
	w.mu.Unlock()
	if raw != nil && raw(req, ex) {
		return
	}
	resp, ok := answer(req)
	if !ok {
		return
	}
	m := encode(w.profile, req, resp)
	if req.Observe.Set && req.Observe.Value == 0 {
		o := ex.Observe(m, nil)
		w.mu.Lock()
		w.observer = o
		w.mu.Unlock()
		return
	}
	ex.Respond(m)
}

// describe is how tests write a request.
func describe(r wire.Request) string {
	switch r.Op {
	case wire.PutMitigation:
		if r.Efficacy {
			return fmt.Sprintf("PUT %d efficacy", r.MID.Value)
		}
		return fmt.Sprintf("PUT %d", r.MID.Value)
	case wire.DeleteMitigation:
		return fmt.Sprintf("DELETE %d", r.MID.Value)
	case wire.GetMitigations:
		switch {
		case r.MID.Set:
			return fmt.Sprintf("GET %d", r.MID.Value)
		case r.Observe.Set:
			return fmt.Sprintf("OBSERVE%d %s", r.Observe.Value, r.CUID)
		}
		return "LIST " + r.CUID
	case wire.PutHeartbeat:
		return fmt.Sprintf("HB %v", r.PeerHB)
	}
	return describeConfig(r)
}

// serve is a well-behaved server: it keeps what is put, and shows it.
func (w *world) serve(r wire.Request) (wire.Response, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.Op {
	case wire.PutMitigation:
		_, known := w.standing[r.MID.Value]
		w.standing[r.MID.Value] = dots.StatusInProgress
		granted := dots.Some(wire.Granted{MID: r.MID.Value, Lifetime: r.Mitigation.Lifetime.Or(60)})
		if known {
			return wire.Response{Code: dots.CodeChanged, Granted: granted}, true
		}
		return wire.Response{Code: dots.CodeCreated, Granted: granted}, true
	case wire.DeleteMitigation:
		if _, known := w.standing[r.MID.Value]; known {
			w.standing[r.MID.Value] = dots.StatusClientWithdrawn
		}
		return wire.Response{Code: dots.CodeDeleted}, true
	case wire.GetMitigations:
		if reports := w.reports(r.MID); len(reports) > 0 {
			return wire.Response{Code: dots.CodeContent, Reports: reports}, true
		}
		return wire.Response{Code: dots.CodeNotFound}, true
	}
	return wire.Response{Code: dots.CodeChanged}, true
}

// reports is what the server shows; w.mu is held.
func (w *world) reports(mid dots.Maybe[uint32]) []dots.Report {
	var reports []dots.Report
	for m, status := range w.standing {
		if !mid.Set || mid.Value == m {
			reports = append(reports, dots.Report{MID: m, Lifetime: 3600, Status: status, Start: dots.Some[uint64](1)})
		}
	}
	slices.SortFunc(reports, func(a, b dots.Report) int { return int(a.MID) - int(b.MID) })
	return reports
}

// set changes the world under its lock.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// sleep passes virtual time and lets everybody finish.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// want states legs and lets everybody finish.
func (w *world) want(legs ...dots.Leg) {
	w.manager.Want("a", legs)
	synctest.Wait()
}

// putLeg is a leg that a real codec takes.
func putLeg(mid uint32, revision uint64) dots.Leg {
	l := leg(mid, revision)
	l.Key.CUID = "cuid"
	l.Request.Target.FQDNs = []string{"www.example.net"}
	return l
}

func goneLeg(mid uint32, revision uint64) dots.Leg {
	l := putLeg(mid, revision)
	l.Withdraw = true
	return l
}

// takeAsked compares what reached the server since the last call, without its times and without heartbeats.
func (w *world) takeAsked(want ...string) {
	w.Helper()
	w.mu.Lock()
	got := []string{}
	for _, m := range w.asked {
		if m.What[:2] != "HB" {
			got = append(got, m.What)
		}
	}
	w.asked = nil
	w.mu.Unlock()
	if d := gocmp.Diff(append([]string{}, want...), got); d != "" {
		w.Fatalf("asked (-want +got):\n%s", d)
	}
}

// log is what reached the server.
func (w *world) log() []moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// datagrams are the requests that we sent, repeats included.
func (w *world) datagrams() []moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// recorder is a core that notes what it is told.
type recorder struct {
	start time.Time
	mu    sync.Mutex
	told  []moment
	block chan struct{} // nil: calls return at once
	// answered sees the answers; nil: nobody does. Set before anything is asked.
	answered func(dots.LegAnswer)
	// reported sees the reports, under mu; nil: nobody does. Set before anything is asked.
	reported func([]dots.Report)
}

func (r *recorder) note(text string) {
	r.mu.Lock()
	r.told = append(r.told, moment{time.Since(r.start), text})
	block := r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
}

func (r *recorder) Answered(a dots.LegAnswer) {
	verb := "PUT"
	if a.Withdraw {
		verb = "DELETE"
	}
	text := fmt.Sprintf("%s %d r%d: %v", verb, a.Key.MID, a.Revision, a.Code)
	if a.Lifetime.Set {
		text += fmt.Sprintf(" for %d", a.Lifetime.Value)
	}
	if a.Text != "" {
		text += " " + a.Text
	}
	if r.answered != nil {
		r.answered(a)
	}
	r.note(text)
}

func (r *recorder) Reported(uplink, cuid string, complete bool, reports []dots.Report) {
	if r.reported != nil {
		r.mu.Lock()
		r.reported(reports)
		r.mu.Unlock()
	}
	text := fmt.Sprintf("%s/%s", uplink, cuid)
	if complete {
		text += " all"
	}
	for _, p := range reports {
		text += fmt.Sprintf(" %d=%d", p.MID, p.Status)
	}
	r.note(text)
}
func (r *recorder) LinkUp(uplink string)           { r.note("up " + uplink) }
func (r *recorder) LinkDown(uplink, reason string) { r.note("down " + uplink + ": " + reason) }

// take compares what was told since the last call, with its times.
func (r *recorder) take(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	got := []string{}
	era := 0 // what happens at one moment of one session has no order among legs
	eras := map[moment]int{}
	for _, m := range r.told {
		if isLink(m.What) {
			era++
			eras[m] = era
			era++
		} else {
			eras[m] = era
		}
	}
	slices.SortStableFunc(r.told, func(a, b moment) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(eras[a], eras[b]), cmp.Compare(rank(a.What), rank(b.What)),
			cmp.Compare(a.What, b.What))
	})
	for _, m := range r.told {
		got = append(got, m.String())
	}
	r.told = nil
	r.mu.Unlock()
	if d := gocmp.Diff(append([]string{}, want...), got); d != "" {
		t.Fatalf("told (-want +got):\n%s", d)
	}
}

// drain forgets what was told, and returns what of it has a text in it.
func (r *recorder) drain(text string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []string
	for _, m := range r.told {
		if strings.Contains(m.What, text) {
			found = append(found, m.What)
		}
	}
	r.told = nil
	return found
}

// isLink tells what is said of the link from what is said over it.
func isLink(what string) bool {
	return strings.HasPrefix(what, "up ") || strings.HasPrefix(what, "down ")
}

// rank orders what was told at one moment: answers, then reports.
func rank(what string) int {
	if strings.Contains(what, "/") {
		return 1
	}
	return 0
}

// meter notes what it is told.
type meter struct {
	mu   sync.Mutex
	told []string
}

func (m *meter) note(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, fmt.Sprintf(format, args...))
}

func (m *meter) UplinkUp(_ string, up bool) { m.note("up %v", up) }
func (m *meter) Request(_ string, method wire.Method, code dots.Code) {
	m.note("%d %v", method, code)
}
func (m *meter) Legs(_ string, counts LegCounts)         { m.note("legs %v", counts) }
func (m *meter) HeartbeatMissed(string)                  { m.note("missed") }
func (m *meter) Liveness(_ string, state liveness.State) { m.note("%v", state) }
func (m *meter) Redirected(_ string, followed bool)      { m.note("redirected %v", followed) }
