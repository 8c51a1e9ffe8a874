package app

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// seen is a request that reached the upstream server.
type seen struct {
	op       wire.Op
	cuid     string
	cdid     string
	mid      uint32
	target   dots.Target
	efficacy bool
	hopLimit uint32
}

// standing is a mitigation as the upstream server has it.
type standing struct {
	request dots.Request
	status  dots.Status
	start   time.Time
}

// upstreamServer is a small DOTS server that does what it is asked and remembers it.
type upstreamServer struct {
	t       testing.TB
	profile wire.Profile
	server  *coap.Server
	stop    func()

	mu       sync.Mutex
	log      []seen
	raw      bytes.Buffer // paths and bodies of all requests, also of those in log
	stands   map[string]map[uint32]*standing
	watchers map[*coap.Observer]wire.Request
	sessions map[uint64]*coap.Session
	refuse   map[wire.Op]dots.Code
	redirect string        // to where mitigation requests are sent; empty: they are taken
	records  []string      // where that is
	lingers  bool          // what is withdrawn stands until settle
	changed  chan struct{} // closed and replaced at each change
}

// startUpstream starts a server over network on a free port of this machine, or on the one that is given.
func startUpstream(t testing.TB, dir, network, address string) *upstreamServer {
	t.Helper()
	u := &upstreamServer{
		t: t, profile: rfc9132.New(), stands: map[string]map[uint32]*standing{}, watchers: map[*coap.Observer]wire.Request{},
		sessions: map[uint64]*coap.Session{}, refuse: map[wire.Op]dots.Code{}, changed: make(chan struct{}),
	}
	s, err := coap.Listen(coap.ServerConfig{
		Network: network, Address: address, Credentials: labCredentials(t, dir, "upstream"),
		Session: coap.SessionConfig{Handler: u, Limits: coap.Limits{NotifyInterval: -1}},
		OnSession: func(s *coap.Session) error {
			u.change(func() { u.sessions[s.ID()] = s })
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.server = s
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("upstream server: %v", err)
		}
	})
	u.stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	t.Cleanup(u.stop)
	return u
}

func (u *upstreamServer) address() string { return u.server.Addr().String() }

// change changes the state and wakes those who wait.
func (u *upstreamServer) change(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
	close(u.changed)
	u.changed = make(chan struct{})
}

// await waits until ok, which is called under the lock.
func (u *upstreamServer) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		u.mu.Lock()
		done, next := ok(), u.changed
		u.mu.Unlock()
		if done {
			return
		}
		select {
		case <-next:
		case <-deadline:
			t.Fatalf("upstream: %s did not come; seen: %+v", what, u.seen())
		}
	}
}

// seen returns the requests so far.
func (u *upstreamServer) seen() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.log)
}

// count returns how many requests of a kind came, under the lock.
func (u *upstreamServer) count(op wire.Op) (n int) {
	for _, s := range u.log {
		if s.op == op {
			n++
		}
	}
	return n
}

// setStatus changes the status of everything that stands, and tells the observers.
func (u *upstreamServer) setStatus(s dots.Status) {
	u.change(func() {
		for _, of := range u.stands {
			for _, m := range of {
				m.status = s
			}
		}
		u.notify()
	})
}

// settle ends what is withdrawn.
func (u *upstreamServer) settle() {
	u.change(func() {
		for _, of := range u.stands {
			maps.DeleteFunc(of, func(_ uint32, m *standing) bool { return m.status == dots.StatusClientWithdrawn })
		}
		u.notify()
	})
}

// notify tells the observers, under the lock.
func (u *upstreamServer) notify() {
	for o, req := range u.watchers {
		o.Notify(u.encode(req, u.list(req)))
	}
}

// ServeCoAP answers the gateway.
func (u *upstreamServer) ServeCoAP(ex *coap.Exchange) {
	m := ex.Request()
	req, err := u.profile.DecodeRequest(toWire(m))
	if err != nil {
		u.t.Errorf("upstream cannot read what the gateway sent: %v", err)
		ex.Respond(&coap.Message{Code: coap.BadRequest})
		return
	}
	u.change(func() {
		u.raw.WriteString(strings.Join(m.Options.Path(), "/"))
		u.raw.Write(m.Payload)
		u.log = append(u.log, seen{
			op: req.Op, cuid: req.CUID, cdid: req.CDID, mid: req.MID.Value, target: req.Mitigation.Target, efficacy: req.Efficacy,
			hopLimit: req.HopLimit.Value,
		})
		resp := u.answer(req)
		if req.Op == wire.GetMitigations && req.Observe.Set && req.Observe.Value == 0 && resp.Code.Success() {
			u.observe(ex, req, resp)
			return
		}
		ex.Respond(u.encode(req, resp))
	})
}

func (u *upstreamServer) observe(ex *coap.Exchange, req wire.Request, first wire.Response) {
	var o *coap.Observer
	o = ex.Observe(u.encode(req, first), func() {
		// The session calls from its own goroutine or from within ServeCoAP: the lock may be ours already.
		go u.change(func() { delete(u.watchers, o) })
	})
	if o != nil {
		u.watchers[o] = req
	}
}

// answer does what a request asks, under the lock.
func (u *upstreamServer) answer(req wire.Request) wire.Response {
	if code, ok := u.refuse[req.Op]; ok {
		return wire.Response{Code: code, Diagnostic: "as the test wants"}
	}
	if u.redirect != "" && req.Op == wire.PutMitigation {
		return wire.Response{
			Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](86400), Redirect: dots.Some(dots.Redirect{Server: u.redirect, Records: u.records}),
		}
	}
	of := u.stands[req.CUID]
	switch req.Op {
	case wire.PutMitigation:
		if of == nil {
			of = map[uint32]*standing{}
			u.stands[req.CUID] = of
		}
		code := dots.CodeChanged
		if of[req.MID.Value] == nil {
			code = dots.CodeCreated
			of[req.MID.Value] = &standing{status: dots.StatusInProgress, start: time.Now()}
		}
		if !req.Efficacy {
			of[req.MID.Value].request = req.Mitigation
		}
		granted := wire.Granted{MID: req.MID.Value, Lifetime: req.Mitigation.Lifetime.Value}
		return wire.Response{Code: code, Granted: dots.Some(granted)}
	case wire.DeleteMitigation:
		// RFC 9132, Section 4.4.4: active but terminating, until the test lets it end.
		if m := of[req.MID.Value]; m != nil && u.lingers {
			m.status = dots.StatusClientWithdrawn
		} else {
			delete(of, req.MID.Value)
		}
		u.notify()
		return wire.Response{Code: dots.CodeDeleted}
	case wire.GetMitigations:
		return u.list(req)
	case wire.PutHeartbeat:
		return wire.Response{Code: dots.CodeChanged}
	}
	return wire.Response{Code: dots.CodeNotFound, Diagnostic: "not here"}
}

// list answers a GET: an empty list is a 2.05 without entries, as some servers have it.
func (u *upstreamServer) list(req wire.Request) wire.Response {
	of := u.stands[req.CUID]
	var reports []dots.Report
	for _, mid := range slices.Sorted(maps.Keys(of)) {
		if req.MID.Set && req.MID.Value != mid {
			continue
		}
		m := of[mid]
		reports = append(reports, dots.Report{
			MID: mid, Target: m.request.Target, Lifetime: m.request.Lifetime.Value, Status: m.status,
			Start:    dots.Some(uint64(m.start.Unix())),
			Counters: dots.Counters{BytesDropped: dots.Some(uint64(1000)), PktsDropped: dots.Some(uint64(10))},
		})
	}
	if len(reports) == 0 {
		return wire.Response{Code: dots.CodeNotFound, Diagnostic: "no mitigation"}
	}
	return wire.Response{Code: dots.CodeContent, Reports: reports}
}

func (u *upstreamServer) encode(req wire.Request, resp wire.Response) *coap.Message {
	r, err := u.profile.EncodeResponse(req, resp)
	if err != nil {
		u.t.Errorf("upstream cannot say %+v: %v", resp, err)
		return &coap.Message{Code: coap.InternalServerError}
	}
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload, NonConfirmable: true}
	if r.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	}
	if r.MaxAge.Set {
		m.Options.AddUint(coap.MaxAge, r.MaxAge.Value)
	}
	return m
}

// names lists what stands, as cuid/mid, sorted, under the lock.
func (u *upstreamServer) names() []string {
	var names []string
	for cuid, of := range u.stands {
		for mid := range of {
			names = append(names, fmt.Sprintf("%s/%d", cuid, mid))
		}
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}

// hangUp ends the sessions of the gateway.
func (u *upstreamServer) hangUp() {
	u.mu.Lock()
	all := slices.Collect(maps.Values(u.sessions))
	clear(u.sessions)
	u.mu.Unlock()
	for _, s := range all {
		_ = s.Close() // it may have ended already
	}
}

// toWire reads a CoAP request as a profile wants it.
func toWire(m *coap.Message) wire.CoAPRequest {
	number := func(option uint16) dots.Maybe[uint32] {
		v, ok := m.Options.Uint(option)
		return dots.Maybe[uint32]{Value: v, Set: ok}
	}
	r := wire.CoAPRequest{
		Method: wire.Method(m.Code), Path: m.Options.Path(), Query: m.Options.Query(), Payload: slices.Clone(m.Payload),
		Observe: number(coap.Observe), HopLimit: number(coap.HopLimit), IfMatch: m.Options.Has(coap.IfMatch),
	}
	if f := number(coap.ContentFormat); f.Set {
		r.Format = dots.Some(uint16(f.Value))
	}
	return r
}

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	address, err := lab.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
