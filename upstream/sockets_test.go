package upstream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// patience is how long a test waits for what must happen; only a failing test waits so long.
const patience = 20 * time.Second

// stage is a Manager that reaches real servers over real sockets, and all that was heard on both sides.
type stage struct {
	*testing.T
	network string
	ca      *testpki.Authority
	relay   *relay
	manager *Manager
	heard   chan string // bounded, and never full in these tests
}

// newStage runs a Manager with one uplink behind a relay.
func newStage(t *testing.T, network string) *stage {
	t.Helper()
	s := &stage{T: t, network: network, ca: testpki.New(t, "root"), relay: newRelay(t, network), heard: make(chan string, 1024)}
	var handler coap.HandlerFunc = func(ex *coap.Exchange) { s.manager.Handler().ServeCoAP(ex) }
	d, err := coap.NewDialer(coap.DialConfig{
		Network: network, Address: s.relay.addr(), ServerName: "localhost", Credentials: s.credentials(s.ca.Client("gate.example")),
		Session: coap.SessionConfig{Handler: handler},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.manager, err = New(Config{
		Events: s, Links: []LinkConfig{{Name: "a", Profile: rfc9132.New(), Dial: d.Dial}},
		HeartbeatInterval: time.Second, MissingAllowed: 5, RepeatInterval: 500 * time.Millisecond,
		Backoff: Backoff{MinActive: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.run(d.Run)
	s.run(s.manager.Run)
	return s
}

// run runs a part until the returned func is called, or the test ends.
func (s *stage) run(part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := part(ctx); err != nil {
			s.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	s.Cleanup(stop)
	return stop
}

func (s *stage) credentials(leaf *testpki.Leaf) *coap.Credentials {
	s.Helper()
	var cfg coap.CredentialsConfig
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = testpki.Files(s.T, s.TempDir(), s.ca, leaf)
	c, err := coap.LoadCredentials(cfg)
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// next waits for the next thing of a kind that is heard, and checks it.
func (s *stage) next(kind, want string) {
	s.Helper()
	var others []string
	timeout := time.After(patience)
	for {
		select {
		case got := <-s.heard:
			if !strings.HasPrefix(got, kind) {
				others = append(others, got)
				continue
			}
			if got != kind+want {
				s.Fatalf("%s, want %s%s", got, kind, want)
			}
			return
		case <-timeout:
			s.Fatalf("no %q; heard %q", kind, others)
		}
	}
}

func (s *stage) Answered(a dots.LegAnswer) {
	s.heard <- fmt.Sprintf("answer %d withdraw %v: %v", a.Key.MID, a.Withdraw, a.Code)
}

func (s *stage) Reported(_, _ string, complete bool, reports []dots.Report) {
	text := fmt.Sprintf("report complete %v:", complete)
	for _, r := range reports {
		text += fmt.Sprintf(" %d=%d", r.MID, r.Status)
	}
	s.heard <- text
}
func (s *stage) LinkUp(string)           { s.heard <- "link up" }
func (s *stage) LinkDown(string, string) { s.heard <- "link down" }

// process is a server process: what it knows dies with it.
type process struct {
	s    *stage
	name string
	stop func()

	mu       sync.Mutex
	standing map[uint32]dots.Status
	observer *coap.Observer
}

// start starts a server and leads the relay to it.
func (s *stage) start(name string) *process {
	s.Helper()
	p := &process{s: s, name: name, standing: map[uint32]dots.Status{}}
	server, err := coap.Listen(coap.ServerConfig{
		Network: s.network, Address: "127.0.0.1:0", Credentials: s.credentials(s.ca.Server()),
		Session: coap.SessionConfig{Handler: coap.HandlerFunc(p.handle), Limits: coap.Limits{NotifyInterval: -1}},
	})
	if err != nil {
		s.Fatal(err)
	}
	p.stop = s.run(server.Run)
	s.relay.lead(server.Addr().String())
	return p
}

// kill cuts the process off, as kill -9 does, and then cleans up.
func (p *process) kill() {
	p.s.relay.lead("")
	p.stop()
}

func (p *process) handle(ex *coap.Exchange) {
	req, err := rfc9132.New().DecodeRequest(carry.Request(ex.Request()))
	if err != nil {
		p.s.Errorf("request refused by the server: %v", err)
		return
	}
	p.s.heard <- fmt.Sprintf("%s %s", p.name, describe(req))
	p.mu.Lock()
	defer p.mu.Unlock()
	resp := p.answer(req)
	m := encode(rfc9132.New(), req, resp)
	if req.Observe.Set && req.Observe.Value == 0 {
		p.observer = ex.Observe(m, nil)
		return
	}
	ex.Respond(m)
}

func (p *process) answer(req wire.Request) wire.Response {
	switch req.Op {
	case wire.PutMitigation:
		p.standing[req.MID.Value] = dots.StatusInProgress
		return wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: req.MID.Value, Lifetime: 3600})}
	case wire.DeleteMitigation:
		p.standing[req.MID.Value] = dots.StatusClientWithdrawn
		return wire.Response{Code: dots.CodeDeleted}
	case wire.GetMitigations:
		return p.list()
	}
	return wire.Response{Code: dots.CodeChanged}
}

func (p *process) list() wire.Response {
	resp := wire.Response{Code: dots.CodeNotFound}
	for mid, status := range p.standing {
		resp.Code = dots.CodeContent
		resp.Reports = append(resp.Reports, dots.Report{MID: mid, Lifetime: 3600, Status: status, Start: dots.Some[uint64](1)})
	}
	return resp
}

// status changes a mitigation and notifies.
func (p *process) status(mid uint32, status dots.Status) {
	p.mu.Lock()
	p.standing[mid] = status
	resp, o := p.list(), p.observer
	p.mu.Unlock()
	o.Notify(encode(rfc9132.New(), wire.Request{Op: wire.GetMitigations, CUID: "cuid"}, resp))
}

// RFC 9132, Section 4.7: heartbeats find out over UDP that the server is gone, even while a mitigation is wanted; over TCP the
// connection ends. Either way there is a new session, and on it the wanted set is made true again.
func TestOverRealSockets(t *testing.T) {
	for _, network := range []string{coap.NetworkUDP, coap.NetworkTCP} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, network)
			first := s.start("first")
			s.manager.Want("a", []dots.Leg{putLeg(1, 1)})
			s.next("link ", "up")
			s.next("first PUT ", "1")
			s.next("answer ", "1 withdraw false: 2.01")
			s.next("report ", "complete true: 1=1")
			first.status(1, dots.StatusMitigated)
			s.next("report ", "complete true: 1=2")
			s.next("first HB ", "true")
			first.kill()
			second := s.start("second")
			if network == coap.NetworkTCP {
				s.next("link ", "down")
				s.next("link ", "up")
			}
			s.next("second PUT ", "1")
			s.next("answer ", "1 withdraw false: 2.01")
			s.next("report ", "complete true: 1=1")
			second.status(1, dots.StatusMitigated)
			s.next("report ", "complete true: 1=2")
			s.manager.Want("a", []dots.Leg{goneLeg(1, 2)})
			s.next("second DELETE ", "1")
			s.next("answer ", "1 withdraw true: 2.02")
			s.next("report ", "complete false: 1=5")
			if info := s.manager.Links()[0]; !info.Up || info.Remote != s.relay.addr() || info.Reliable != (network == coap.NetworkTCP) {
				t.Errorf("shown as %+v", info)
			}
		})
	}
}
