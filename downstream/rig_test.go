package downstream

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// rig is a running Server with a fake core, in virtual time. All of it lives in one synctest bubble.
type rig struct {
	t      *testing.T
	core   *fakeCore
	meter  *countingMeter
	srv    *Server
	timers *coap.Timers
	start  time.Time
}

// inRig runs a test in a bubble with a running Server.
func inRig(t *testing.T, change func(*Config), test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, core: newFakeCore(), meter: newCountingMeter(), timers: coap.NewTimers(), start: time.Now()}
		cfg := Config{
			Core: r.core, Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1", Meter: r.meter,
			Random:         func() float64 { return 0 },
			TrustedGateway: func(client string) bool { return client == "gw" },
		}
		if change != nil {
			change(&cfg)
		}
		var err error
		if r.srv, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = r.timers.Run(ctx) })
		running.Go(func() {
			if err := r.srv.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		test(r)
		cancel()
		running.Wait()
	})
}

// elapsed is the virtual time since the rig began.
func (r *rig) elapsed() time.Duration { return time.Since(r.start) }

// wait lets a span of virtual time pass, and everything due in it happen.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wire is the sending end of a link in memory: a queue and a goroutine that empties it.
type memoryLink struct {
	reliable bool
	out      chan []byte
	closed   chan struct{}
	once     sync.Once
	mute     func() bool // what is written is lost while it reports true
}

func newMemoryLink(reliable bool) *memoryLink {
	return &memoryLink{reliable: reliable, out: make(chan []byte, 1024), closed: make(chan struct{})}
}

func (l *memoryLink) WriteRecord(b []byte) error {
	if l.mute != nil && l.mute() {
		return nil
	}
	select {
	case <-l.closed:
		return net.ErrClosed
	case l.out <- bytes.Clone(b):
	default: // a full queue is loss
	}
	return nil
}

func (l *memoryLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryLink) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4646}
}

func (l *memoryLink) RemoteAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 40000}
}
func (l *memoryLink) Reliable() bool { return l.reliable }

// deliver carries what was written to the other side until the link is closed, and then closes that.
func (l *memoryLink) deliver(to *coap.Session) {
	for {
		select {
		case b := <-l.out:
			to.Input(b)
		case <-l.closed:
			for len(l.out) > 0 {
				to.Input(<-l.out)
			}
			to.InputClosed(nil)
			return
		}
	}
}

// client is a DOTS client in a test: the other end of a session of the Server.
type client struct {
	*coap.Session
	r      *rig
	served *coap.Session // the Server's end
	links  [2]*memoryLink

	mu      sync.Mutex
	handler coap.HandlerFunc // answers the Server's requests; nil: 4.04
	beats   []heard          // requests of the Server, by time
	muted   bool
	deaf    bool
}

// heard is a request of the Server.
type heard struct {
	at   time.Duration
	path string
	body string
	non  bool
}

// options of a client.
type clientConfig struct {
	name    string
	psk     string
	tcp     bool
	from    Listener
	handler coap.HandlerFunc
}

// connect joins a client of a name to the Server over UDP.
func (r *rig) connect(name string) *client {
	return r.join(clientConfig{name: name, handler: answerChanged})
}

// join joins a client to the Server.
func (r *rig) join(cfg clientConfig) *client {
	r.t.Helper()
	c := &client{r: r, handler: cfg.handler}
	c.links = [2]*memoryLink{newMemoryLink(cfg.tcp), newMemoryLink(cfg.tcp)}
	c.links[0].mute = func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.muted }
	c.links[1].mute = func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.deaf }
	identity := coap.Identity{PSKIdentity: cfg.psk}
	if cfg.name != "" {
		identity = coap.Identity{SPKI: []byte("key of " + cfg.name), Names: []string{cfg.name}}
	}
	var err error
	c.Session, err = coap.NewSession(coap.SessionConfig{Link: c.links[0], Timers: r.timers, Handler: coap.HandlerFunc(c.serve)})
	if err != nil {
		r.t.Fatal(err)
	}
	c.served, err = coap.NewSession(coap.SessionConfig{Link: c.links[1], Timers: r.timers, Handler: r.srv, Peer: identity, Limits: SessionLimits()})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.srv.Attach(c.served, cfg.from); err != nil {
		r.t.Fatal(err)
	}
	var carrying sync.WaitGroup
	carrying.Go(func() { c.links[0].deliver(c.served) })
	carrying.Go(func() { c.links[1].deliver(c.Session) })
	c.Session.Start()
	c.served.Start()
	r.t.Cleanup(func() {
		_ = c.Session.Close()
		_ = c.served.Close()
		carrying.Wait()
	})
	synctest.Wait()
	return c
}

// serve notes a request of the Server and answers it.
func (c *client) serve(ex *coap.Exchange) {
	c.mu.Lock()
	m := ex.Request()
	c.beats = append(c.beats, heard{
		at: c.r.elapsed(), path: strings.Join(m.Options.Path(), "/"), body: hex.EncodeToString(m.Payload), non: m.NonConfirmable,
	})
	handler := c.handler
	c.mu.Unlock()
	if handler == nil {
		ex.Respond(&coap.Message{Code: coap.NotFound})
		return
	}
	handler(ex)
}

// answerChanged answers every request of the Server as a DOTS client answers a heartbeat.
func answerChanged(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.Changed}) }

// silent does not answer at all.
func silent(ex *coap.Exchange) { ex.Silence() }

// mute loses what the client sends, deafen what is sent to it.
func (c *client) mute(on bool)   { c.mu.Lock(); c.muted = on; c.mu.Unlock() }
func (c *client) deafen(on bool) { c.mu.Lock(); c.deaf = on; c.mu.Unlock() }

// heartbeats returns the Server's requests so far.
func (c *client) heartbeats() []heard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]heard(nil), c.beats...)
}

// request makes a NON request with a path, and a dots+cbor body given in hex.
func request(method coap.Code, path, body string) *coap.Message {
	m := &coap.Message{Code: method, NonConfirmable: true}
	m.Options.SetPath(strings.Split(strings.TrimPrefix(path, "/"), "/")...)
	if body != "" {
		m.Options.AddUint(coap.ContentFormat, 271)
		m.Payload = unhex(body)
	}
	return m
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// with adds an option of a number.
func with(m *coap.Message, number uint16, value ...byte) *coap.Message {
	m.Options.Add(number, value)
	return m
}

// do sends a request and returns the answer; nil when there is none for 2 s. Everything it caused is over then.
func (c *client) do(m *coap.Message) *coap.Message {
	resp := c.ask(m)
	synctest.Wait()
	return resp
}

// ask is do for a goroutine beside the test's.
func (c *client) ask(m *coap.Message) *coap.Message {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	resp, err := c.Do(ctx, m)
	if err != nil {
		return nil
	}
	return resp
}

// code returns the code and the text of an answer as a test states them: "2.04", "4.00 lifetime: missing", "silence".
func code(m *coap.Message) string {
	switch {
	case m == nil:
		return "silence"
	case m.Code.Class() >= 4 && !m.Options.Has(coap.ContentFormat):
		return m.Code.String() + " " + string(m.Payload)
	}
	return m.Code.String()
}

// count returns the number of observations of a client entry.
func (t *watchTable) count(entry string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[entry]
}
