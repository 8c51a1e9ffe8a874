package coap

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// notices answers every GET with what is new, and keeps who observes.
type notices struct {
	mu        sync.Mutex
	observers []*Observer
	replayed  int
	name      string
}

func (n *notices) ServeCoAP(ex *Exchange) {
	observer := ex.Observe(content([]byte(n.name)), nil)
	n.mu.Lock()
	defer n.mu.Unlock()
	if observer != nil {
		n.observers = append(n.observers, observer)
	}
	if ex.Replayed() {
		n.replayed++
	}
}

func (n *notices) tell(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.observers {
		o.Notify(content([]byte(text)))
	}
}

// handOver moves what can be from a running server to a new one, by way of bytes.
func handOver(t *testing.T, old *listener, cfg ServerConfig) (*listener, []*Session) {
	t.Helper()
	files, err := old.Files()
	if err != nil {
		t.Fatalf("Files() = %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	old.Suspend(ctx)
	var sent bytes.Buffer
	out := gob.NewEncoder(&sent)
	count := 0
	old.Export(func(s *Session, e Exported) {
		if !errors.Is(s.Err(), ErrHandedOver) {
			t.Errorf("an exported session ended with %v", s.Err())
		}
		if err := out.Encode(e); err != nil {
			t.Error(err)
		}
		count++
	})
	old.stop()
	cfg.Files = files
	next, err := Listen(cfg)
	for _, f := range files {
		_ = f.Close()
	}
	if err != nil {
		t.Fatalf("Listen() = %v", err)
	}
	in := gob.NewDecoder(&sent)
	var resumed []*Session
	for range count {
		var e Exported
		if err := in.Decode(&e); err != nil {
			t.Fatal(err)
		}
		welcome := func(s *Session) error { resumed = append(resumed, s); return nil }
		if err := next.Resume(e, welcome); err != nil {
			t.Fatalf("Resume() = %v", err)
		}
		if err := next.Resume(e, welcome); err == nil {
			t.Fatal("resumed twice")
		}
	}
	l := &listener{Server: next, failures: make(chan error, 16)}
	l.stop = runUntilEnd(t, next.Run)
	return l, resumed
}

// TestHandOver: sessions over UDP go on in a new server on the same sockets: identity, parameters, observations.
func TestHandOver(t *testing.T) {
	for _, said := range []bool{true, false} { // whether the client has said anything
		t.Run(fmt.Sprint(said), func(t *testing.T) {
			ca := testpki.New(t, "root")
			server, client := credentialsOf(t, ca, ca.Server()), credentialsOf(t, ca, ca.Client("a.example"))
			before, after := &notices{name: "before"}, &notices{name: "after"}
			first, second := new(Counters), new(Counters)
			l := serve(t, ServerConfig{Network: NetworkUDP, Credentials: server, Session: SessionConfig{
				Handler: before, Counters: first, Limits: Limits{NotifyInterval: -1},
			}})
			c := mustDial(t, DialConfig{Network: NetworkUDP, Address: l.Addr().String(), ServerName: "localhost", Credentials: client})
			s := l.session(t)
			s.SetParameters(Parameters{AckTimeout: time.Minute, MaxRetransmit: -1})
			told := make(chan string, 10)
			if said {
				o, err := c.Observe(t.Context(), requestTo(GET, nil, "x"), func(m *Message) { told <- string(m.Payload) })
				if err != nil || !o.Active() {
					t.Fatalf("observing: %v", err)
				}
				before.tell("news")
				wantTexts(t, told, "before", "news")
			}
			wantParameters, wantPeer := s.Parameters(), s.Peer()

			next, resumed := handOver(t, l, ServerConfig{Network: NetworkUDP, Credentials: server, Session: SessionConfig{
				Handler: after, Counters: second, Limits: Limits{NotifyInterval: -1},
			}})
			if len(resumed) != 1 {
				t.Fatalf("%d sessions were resumed", len(resumed))
			}
			if diff := cmp.Diff(wantParameters, resumed[0].Parameters()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(wantPeer, resumed[0].Peer()); diff != "" {
				t.Error(diff)
			}
			if err := server.Still(resumed[0].Peer()); err != nil {
				t.Errorf("the peer is not believed any more: %v", err)
			}
			next.Replay(t.Context())
			if said {
				wantTexts(t, told, "after")
				after.tell("late news")
				wantTexts(t, told, "late news")
				if after.replayed != 1 {
					t.Errorf("%d requests came anew, want 1", after.replayed)
				}
			}
			if m := do(t, c, requestTo(GET, nil, "x"), Content); string(m.Payload) != "after" {
				t.Errorf("answered %q", m.Payload)
			}
			if n := second.Handshakes.Load(); n != 0 || c.Err() != nil {
				t.Errorf("%d handshakes, the client's session: %v", n, c.Err())
			}
			next.stop()
			wantEnd(t, c, ErrClosedByPeer)
		})
	}
}

func wantTexts(t *testing.T, told <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-told:
			if got != w {
				t.Errorf("told %q, want %q", got, w)
			}
		case <-time.After(patience):
			t.Fatalf("nobody said %q", w)
		}
	}
}

// TestHandOverEnds: sessions that cannot go on are told good-bye, and their clients come back at the same address.
func TestHandOverEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		network string
		front   FrontConfig
	}{
		"TLS": {network: NetworkTCP}, "records of the library": {network: NetworkUDP, front: FrontConfig{RecordPath: front.Pion}},
	} {
		t.Run(name, func(t *testing.T) {
			ca := testpki.New(t, "root")
			server, client := credentialsOf(t, ca, ca.Server()), credentialsOf(t, ca, ca.Client("a.example"))
			cfg := ServerConfig{Network: tt.network, Credentials: server, Front: tt.front, Session: SessionConfig{Handler: newShelf()}}
			l := serve(t, cfg)
			dial := DialConfig{Network: tt.network, Address: l.Addr().String(), ServerName: "localhost", Credentials: client}
			c := mustDial(t, dial)
			l.session(t)
			do(t, c, requestTo(PUT, []byte("x"), "x"), Created)
			next, resumed := handOver(t, l, cfg)
			wantEnd(t, c, ErrClosedByPeer)
			if len(resumed) != 0 {
				t.Errorf("%d sessions were resumed", len(resumed))
			}
			if next.Addr().String() != l.Addr().String() {
				t.Errorf("the next one listens at %v", next.Addr())
			}
			do(t, mustDial(t, dial), requestTo(GET, nil, "x"), Content)
		})
	}
}

// TestSuspendWaitsForHandshakes: who has begun may finish, until the time is over.
func TestSuspendWaitsForHandshakes(t *testing.T) {
	ca := testpki.New(t, "root")
	server := credentialsOf(t, ca, ca.Server())
	l := serve(t, ServerConfig{Network: NetworkTCP, Credentials: server})
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }() // it says nothing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Suspend(ctx)
	if n := l.Export(func(*Session, Exported) { t.Error("exported") }); n != 0 {
		t.Errorf("%d sessions ended", n)
	}
	if err := l.Resume(Exported{}, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a session over TCP is resumed: %v", err)
	}
}

// TestReplayBad: what is no request begins nothing.
func TestReplayBad(t *testing.T) {
	for _, b := range [][]byte{nil, {0x50}, []byte("\x51\x01\x00\x00"), []byte("\x50\x01\x00\x00\xf0"), []byte("\x50\x01\x00\x00\x91x")} {
		s, err := NewSession(SessionConfig{Link: newTape(false), Timers: NewTimers(), Handler: HandlerFunc(echoHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if ex := s.replay(b); ex != nil {
			t.Errorf("%x begins an exchange", b)
		}
		_ = s.Close()
		if ex := s.replay([]byte("\x50\x01\x00\x00")); ex != nil {
			t.Error("an ended session has an exchange")
		}
	}
}

// TestFilesOfBadSockets: a listener does not take what is no socket.
func TestFilesOfBadSockets(t *testing.T) {
	ca := testpki.New(t, "root")
	f, err := os.CreateTemp(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	for _, network := range []string{NetworkUDP, NetworkTCP} {
		_, err := Listen(ServerConfig{Network: network, Credentials: credentialsOf(t, ca, ca.Server()), Files: []*os.File{f}})
		if err == nil || !strings.Contains(err.Error(), "binding") {
			t.Errorf("%s: %v", network, err)
		}
	}
}
