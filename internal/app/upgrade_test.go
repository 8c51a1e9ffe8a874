package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// successors are gateways of this process that take over as others would.
type successors struct {
	t testing.TB
	// before is called when the next one has its end, and may end it; nil: it goes on.
	before func(conn *net.UnixConn) (goesOn bool)
	// change may change what it is built with.
	change func(*config.Config)

	built chan *testGateway
	wait  sync.WaitGroup
}

// succeedable lets a gateway hand over to others in this process.
func succeedable(t testing.TB, gw *testGateway) *successors {
	t.Helper()
	s := &successors{t: t, built: make(chan *testGateway, 1)}
	gw.launch = s.launch
	t.Cleanup(s.wait.Wait)
	return s
}

func (s *successors) launch(_ context.Context, _, file string) (*launched, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	conn, err := connOf(theirs)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	s.wait.Go(func() {
		defer cancel()
		if s.before != nil && !s.before(conn) {
			_ = conn.Close()
			ended <- errors.New("killed")
			return
		}
		ended <- s.run(ctx, cancel, conn, file)
	})
	return &launched{conn: ours, ended: ended, kill: cancel}, nil
}

func (s *successors) run(ctx context.Context, cancel func(), conn *net.UnixConn, file string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	if s.change != nil {
		s.change(cfg)
	}
	log := &logBuffer{}
	a, err := newHeir(newPipe(conn)).Build(ctx, cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), "test")
	if err != nil {
		return err
	}
	g := &testGateway{App: a, log: log}
	ended := make(chan error, 1)
	g.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	s.built <- g
	err = a.Run(ctx)
	ended <- err
	return err
}

// next is the gateway that has taken over.
func (s *successors) next() *testGateway {
	s.t.Helper()
	select {
	case g := <-s.built:
		s.t.Cleanup(func() {
			if err := g.stop(); err != nil {
				s.t.Errorf("stopping the successor: %v", err)
			}
			if s.t.Failed() {
				s.t.Logf("the successor's log:\n%s", g.log)
			}
		})
		return g
	case <-time.After(patience):
		s.t.Fatal("there is no successor")
		return nil
	}
}

// wanted waits for the end of a gateway that has handed over, which must be in order.
func (g *testGateway) handedOver(t testing.TB) {
	t.Helper()
	if err := g.stop(); err != nil {
		t.Errorf("the gateway that handed over ended with %v", err)
	}
	if err := g.log.has("handed over to a new process"); err != nil {
		t.Error(err)
	}
}

// tap is a network between a client and the gateway that keeps what goes by.
type tap struct {
	inner net.PacketConn // to the client
	outer *net.UDPConn   // to the gateway

	mu       sync.Mutex
	client   net.Addr
	up, down [][]byte
}

func newTap(t testing.TB, gateway net.Addr) *tap {
	t.Helper()
	var lc net.ListenConfig
	inner, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	outer, err := net.DialUDP("udp", nil, gateway.(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{inner: inner, outer: outer}
	var both sync.WaitGroup
	both.Go(func() { p.pump(inner.ReadFrom, p.toGateway) })
	both.Go(func() {
		p.pump(func(b []byte) (int, net.Addr, error) { n, err := outer.Read(b); return n, nil, err }, p.toClient)
	})
	t.Cleanup(func() {
		_ = inner.Close()
		_ = outer.Close()
		both.Wait()
	})
	return p
}

func (p *tap) pump(read func([]byte) (int, net.Addr, error), pass func([]byte, net.Addr)) {
	buf := make([]byte, 65536)
	for {
		n, from, err := read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			pass(bytes.Clone(buf[:n]), from)
		}
	}
}

func (p *tap) toGateway(b []byte, from net.Addr) {
	p.mu.Lock()
	p.client, p.up = from, append(p.up, b)
	p.mu.Unlock()
	_, _ = p.outer.Write(b) // as a network
}

func (p *tap) toClient(b []byte, _ net.Addr) {
	p.mu.Lock()
	to := p.client
	p.down = append(p.down, b)
	p.mu.Unlock()
	_, _ = p.inner.WriteTo(b, to) // as a network
}

// nonces are the explicit nonces of the protected records that the gateway has sent without a connection ID.
func (p *tap) nonces() (all []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const header = 13
	for _, b := range p.down {
		for len(b) > header {
			n := header + int(binary.BigEndian.Uint16(b[header-2:]))
			if n > len(b) {
				break
			}
			if binary.BigEndian.Uint16(b[3:]) == 1 && n >= header+8 {
				all = append(all, binary.BigEndian.Uint64(b[header:]))
			}
			b = b[n:]
		}
	}
	return all
}

// TestUpgrade: a session with a mitigation and an observation goes on in a new gateway without a handshake; the mitigation
// stands upstream, no nonce comes twice, and what the old one has seen is refused.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	heirs := succeedable(t, gw)
	between := newTap(t, gw.Addrs()[0])
	c := connect(t, pki, "client1", between.inner.LocalAddr())
	quiet, overTLS := connect(t, pki, "client2", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[1])
	overTLS.must(t, dots.CodeNotFound, get(7))
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	statuses := c.watch(t, 1)
	awaitStatus(t, statuses, dots.StatusInProgress)

	if err := gw.operator().Upgrade(t.Context(), admin.Upgrade{}); err != nil {
		t.Fatalf("upgrading: %v", err)
	}
	gw.handedOver(t)
	next := heirs.next()
	if next.Addrs()[0].String() != gw.Addrs()[0].String() || next.Addrs()[1].String() != gw.Addrs()[1].String() {
		t.Errorf("it listens at %v, not at %v", next.Addrs(), gw.Addrs())
	}
	awaitStatus(t, statuses, dots.StatusInProgress) // the observation begins anew
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	quiet.must(t, dots.CodeNotFound, get(1))
	next.awaitUplink(t, true)
	up.await(t, "what stands", func() bool { return len(up.names()) == 1 })
	up.setStatus(dots.StatusMitigated)
	awaitStatus(t, statuses, dots.StatusMitigated)
	if n := next.down.Handshakes.Load(); n != 0 {
		t.Errorf("%d handshakes", n)
	}
	<-overTLS.session.Done()
	if err := overTLS.session.Err(); !errors.Is(err, coap.ErrClosedByPeer) {
		t.Errorf("the session over TLS ended with %v", err)
	}
	connect(t, pki, "client2", next.Addrs()[1]).must(t, dots.CodeNotFound, get(7))

	seen := map[uint64]bool{}
	for _, n := range between.nonces() {
		if seen[n] {
			t.Errorf("nonce %x comes twice", n)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("%d nonces were seen", len(seen))
	}
	refused := next.front.Dropped.Replayed.Load()
	between.mu.Lock()
	old := between.up[len(between.up)-1]
	between.mu.Unlock()
	_, _ = between.outer.Write(old)
	eventually(t, "the old record is refused", func() error {
		if next.front.Dropped.Replayed.Load() == refused {
			return errors.New("it is not")
		}
		return nil
	})
	// The new one is asked where the old one was, and can hand over, too.
	sessions, err := next.operator().Sessions(t.Context(), admin.Filter{Client: "client1"})
	if err != nil || len(sessions) != 1 || sessions[0].Client != "client1" {
		t.Errorf("sessions: %+v, %v", sessions, err)
	}
}

// TestUpgradeAgain: what was taken over is handed over again.
func TestUpgradeAgain(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	statuses := c.watch(t, 1)
	for range 3 {
		heirs := succeedable(t, gw)
		if err := gw.operator().Upgrade(t.Context(), admin.Upgrade{}); err != nil {
			t.Fatalf("upgrading: %v", err)
		}
		gw.handedOver(t)
		gw = heirs.next()
		awaitStatus(t, statuses, dots.StatusInProgress)
		c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	}
	c.must(t, dots.CodeDeleted, remove(1))
	if gw.down.Handshakes.Load() != 0 {
		t.Error("there was a handshake")
	}
}

// TestUpgradeRefused: where the new process fails before it is given anything, the old one goes on and says why.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	gw := startGateway(t, writeGatewayFile(t, pki, "127.0.0.1:9", config.TransportDTLS, ""))
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	says := func(what parcel) func(*net.UnixConn) bool {
		return func(conn *net.UnixConn) bool {
			p := newPipe(conn)
			if _, _, err := p.receive(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			_ = p.send(time.Now().Add(patience), what)
			return false
		}
	}
	for name, tt := range map[string]struct {
		before func(*net.UnixConn) bool
		change func(*config.Config)
		want   string
	}{
		"it dies":           {before: func(*net.UnixConn) bool { return false }, want: "until the new process is ready"},
		"it will not":       {before: says(parcel{Failed: "no wish"}), want: "no wish"},
		"another version":   {before: says(parcel{Ready: &readyParcel{Version: 2}}), want: "makes no sense"},
		"it makes no sense": {before: says(parcel{Running: true}), want: "makes no sense"},
		"no certificate":    {change: func(c *config.Config) { c.Credentials.Cert += "x" }, want: "no such file"},
	} {
		heirs := succeedable(t, gw)
		heirs.before, heirs.change = tt.before, tt.change
		err := gw.operator().Upgrade(t.Context(), admin.Upgrade{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: told %v, want %q", name, err, tt.want)
		}
		c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
		heirs.wait.Wait()
	}
	if err := gw.log.has("upgrading failed, the gateway goes on as it is"); err != nil {
		t.Error(err)
	}
	if gw.down.Handshakes.Load() != 1 {
		t.Error("the session was made anew")
	}
}

// TestUpgradeFails: a new process that fails once it has the sessions leaves nobody: the old one says nothing more, and ends
// with an error, so that it is started again.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	gw := startGateway(t, writeGatewayFile(t, pki, "127.0.0.1:9", config.TransportDTLS, ""))
	between := newTap(t, gw.Addrs()[0])
	c := connect(t, pki, "client1", between.inner.LocalAddr())
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	heirs := succeedable(t, gw)
	given := 0
	heirs.before = func(conn *net.UnixConn) bool { // all is taken, and nothing made of it
		h := newHeir(newPipe(conn))
		err := h.await(gw.cfg)
		given = len(h.sessions)
		if err != nil {
			t.Error(err)
		}
		h.Fail(errors.New("the roof fell in"))
		return false
	}
	err := gw.operator().Upgrade(t.Context(), admin.Upgrade{})
	if err == nil || !strings.Contains(err.Error(), "the roof fell in") {
		t.Errorf("told %v", err)
	}
	if err := gw.stop(); !errors.Is(err, errSuccessor) {
		t.Errorf("the gateway ended with %v", err)
	}
	gw.stop = func() error { return nil } // it was seen
	heirs.wait.Wait()
	if given != 1 {
		t.Errorf("%d sessions were given", given)
	}
	if err := gw.log.has("handing over failed when the sessions were given away, the process ends"); err != nil {
		t.Error(err)
	}
	if c.session.Err() != nil {
		t.Errorf("the client was told: %v", c.session.Err())
	}
	// What is started next serves, from the same store.
	again := startGateway(t, gw.cfg.File)
	connect(t, pki, "client1", again.Addrs()[0]).must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
}
