package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/impair"
)

// virtualLink is a link between sockets in memory, with a server that echoes, inside a bubble.
type virtualLink struct {
	*Link
	t       *testing.T
	net     *impair.Network
	sources []string // of what the server got, in order
	mu      sync.Mutex
}

func linkAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

const (
	linkAt   = "192.0.2.1:4646"
	linkedTo = "192.0.2.2:4646"
)

func newVirtualLink(t *testing.T, cfg LinkConfig) *virtualLink {
	t.Helper()
	if cfg.MaxPeers == 0 {
		cfg.MaxPeers = DefaultLinkPeers
	}
	v := &virtualLink{Link: newLink(cfg), t: t, net: impair.NewNetwork(1)}
	server := v.socket(linkedTo)
	v.udp = newDatagramLink(v.Link, v.socket(linkAt), linkAddr(linkedTo), func() (net.PacketConn, error) { return v.net.Listen(linkAddr("192.0.2.3:0")) })
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := v.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	all.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := server.ReadFromAddrPort(buf)
			if err != nil {
				return
			}
			v.mu.Lock()
			v.sources = append(v.sources, from.String())
			v.mu.Unlock()
			_, _ = server.WriteToAddrPort(buf[:n], from)
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = server.Close()
		all.Wait()
	})
	return v
}

func (v *virtualLink) socket(at string) *impair.Socket {
	v.t.Helper()
	s, err := v.net.Listen(linkAddr(at))
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

// ask sends a datagram through the link, and returns what comes back within a second, and when.
func (v *virtualLink) ask(s *impair.Socket, text string) (string, time.Duration) {
	v.t.Helper()
	begin := time.Now()
	if _, err := s.WriteToAddrPort([]byte(text), linkAddr(linkAt)); err != nil {
		v.t.Fatal(err)
	}
	_ = s.SetReadDeadline(begin.Add(time.Second))
	buf := make([]byte, 2000)
	n, from, err := s.ReadFromAddrPort(buf)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", time.Since(begin)
	case err != nil || from.String() != linkAt:
		v.t.Fatalf("from %v, %v", from, err)
	}
	return string(buf[:n]), time.Since(begin)
}

func (v *virtualLink) seen() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sources)
}

// TestLinkDatagrams: each way has its delay, and each peer a source of its own.
func TestLinkDatagrams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualLink(t, LinkConfig{Out: impair.Conditions{Delay: 20 * time.Millisecond}, Back: impair.Conditions{Delay: 30 * time.Millisecond}})
		a, b := v.socket("198.51.100.1:1"), v.socket("198.51.100.1:2")
		for _, s := range []*impair.Socket{a, b, a} {
			text := s.LocalAddr().String()
			if got, took := v.ask(s, text); got != text || took != 50*time.Millisecond {
				t.Errorf("%q after %v", got, took)
			}
		}
		if want := []string{"192.0.2.3:49152", "192.0.2.3:49153", "192.0.2.3:49152"}; !slices.Equal(v.seen(), want) {
			t.Errorf("the server saw %v, want %v", v.seen(), want)
		}
		// What somebody else sends to a peer's source does not get to it.
		stranger := v.socket("203.0.113.1:1")
		_, _ = stranger.WriteToAddrPort([]byte("strange"), linkAddr("192.0.2.3:49152"))
		if got, _ := v.ask(a, "mine"); got != "mine" {
			t.Errorf("%q came", got)
		}
		if s := v.Stats(); s.Out.Datagrams != 4 || s.Back.Delivered != 4 || s.Peers != 2 || s.Evicted != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLinkIsBounded: a new peer takes the place of the one that was silent longest.
func TestLinkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualLink(t, LinkConfig{MaxPeers: 2, Back: impair.Conditions{Delay: time.Millisecond}})
		a, b, c := v.socket("198.51.100.1:1"), v.socket("198.51.100.1:2"), v.socket("198.51.100.1:3")
		for _, s := range []*impair.Socket{a, b, a, c, a} {
			if got, _ := v.ask(s, "x"); got != "x" {
				t.Errorf("%v got %q", s.LocalAddr(), got)
			}
		}
		if got, _ := v.ask(b, "again"); got != "again" {
			t.Errorf("a peer that came back got %q", got)
		}
		if s := v.Stats(); s.Peers != 4 || s.Evicted != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLinkRebinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtualLink(t, LinkConfig{Rebind: 10 * time.Second, Back: impair.Conditions{Delay: 100 * time.Millisecond}})
		a := v.socket("198.51.100.1:1")
		v.ask(a, "x")
		before := v.seen()[0]
		hold, err := v.net.Listen(linkAddr("192.0.2.3:0")) // so that another port is next
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Second - 150*time.Millisecond)
		if got, _ := v.ask(a, "on its way"); got != "on its way" { // it passes the old source before that goes
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second)
		if got, _ := v.ask(a, "y"); got != "y" {
			t.Errorf("%q", got)
		}
		if v.Stats().Peers != 2 || v.Stats().Evicted != 0 {
			t.Errorf("%+v; the server saw %v, %s first", v.Stats(), v.seen(), before)
		}
		_ = hold.Close()
	})
}

// TestLinkSeasons: faults come and go, the delay stays.
func TestLinkSeasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := impair.Conditions{Delay: 10 * time.Millisecond, Dead: true}
		v := newVirtualLink(t, LinkConfig{Out: line, After: 5 * time.Second, For: 10 * time.Second, Every: 30 * time.Second})
		a := v.socket("198.51.100.1:1")
		begin := time.Now()
		for _, step := range []struct {
			at   time.Duration
			want string
		}{{1, "x"}, {3, "x"}, {6, ""}, {13, ""}, {16, "x"}, {33, "x"}, {36, ""}, {43, ""}, {46, "x"}} {
			time.Sleep(time.Until(begin.Add(step.at * time.Second)))
			if got, took := v.ask(a, "x"); got != step.want || got != "" && took != 10*time.Millisecond {
				t.Errorf("at %d s: %q after %v", step.at, got, took)
			}
		}
	})
}

func TestSeason(t *testing.T) {
	const never = 1 << 62
	for _, c := range []struct {
		cfg    LinkConfig
		age    time.Duration
		bad    bool
		change time.Duration
	}{
		{LinkConfig{}, 0, true, never},
		{LinkConfig{After: 5}, 4, false, 5},
		{LinkConfig{After: 5}, 5, true, never},
		{LinkConfig{For: 5}, 4, true, 5},
		{LinkConfig{For: 5}, 5, false, never},
		{LinkConfig{After: 1, For: 5, Every: 5}, 6, true, 11},
		{LinkConfig{After: 1, For: 5, Every: 9}, 9, false, 10},
		{LinkConfig{After: 1, For: 5, Every: 9}, 10, true, 15},
	} {
		l := &Link{cfg: c.cfg}
		if bad, change := l.season(c.age); bad != c.bad || change != c.change {
			t.Errorf("%+v at %d: %v until %d, want %v until %d", c.cfg, c.age, bad, change, c.bad, c.change)
		}
	}
}

// pipes is a listener, and a server, whose connections are pipes.
type pipes struct {
	accepted chan net.Conn
	dialled  chan net.Conn
	closed   chan struct{}
	once     sync.Once
	nobody   atomic.Bool // dial fails
}

func newPipes() *pipes {
	return &pipes{accepted: make(chan net.Conn, 8), dialled: make(chan net.Conn, 8), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return net.TCPAddrFromAddrPort(linkAddr(linkAt)) }

func (p *pipes) dial(context.Context) (net.Conn, error) {
	if p.nobody.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	near, far := net.Pipe()
	p.dialled <- far
	return near, nil
}

// connect makes a connection through the link, and returns its two ends.
func (p *pipes) connect() (client, server net.Conn) {
	client, near := net.Pipe()
	p.accepted <- near
	return client, <-p.dialled
}

// withStreams runs a test with a link for streams only.
func withStreams(t *testing.T, cfg LinkConfig, f func(t *testing.T, l *Link, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.MaxPeers == 0 {
			cfg.MaxPeers = DefaultLinkPeers
		}
		l, p := newLink(cfg), newPipes()
		l.tcp = newStreamLink(l, p, p.dial)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		f(t, l, p)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
}

// TestLinkStreams: all bytes arrive in order, at the rate, whatever a datagram would suffer.
func TestLinkStreams(t *testing.T) {
	bad := impair.Conditions{Delay: 100 * time.Millisecond, Rate: 10_000, Loss: 1, Flip: 1, Duplicate: 1, Reorder: 1, MTU: 1}
	withStreams(t, LinkConfig{Out: bad}, func(t *testing.T, l *Link, p *pipes) {
		client, server := p.connect()
		begin := time.Now()
		sent := bytes.Repeat([]byte("0123456789"), 5000)
		go func() { _, _ = client.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, equal: %v, %v", len(got), bytes.Equal(got, sent), err)
		}
		if took := time.Since(begin); took < 5100*time.Millisecond || took > 5200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		begin = time.Now()
		go func() { _, _ = server.Write([]byte("back")) }()
		if _, err := io.ReadFull(client, got[:4]); err != nil || string(got[:4]) != "back" || time.Since(begin) != 0 {
			t.Errorf("%q after %v, %v", got[:4], time.Since(begin), err)
		}
		_ = client.Close()
		if _, err := server.Read(got); !errors.Is(err, io.EOF) {
			t.Errorf("after the end: %v", err)
		}
		if s := l.Stats(); s.Conns != 1 || s.Bytes != [2]uint64{50_000, 4} || s.Resets+s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestLinkStalls: a stream waits while the path is dead, and nothing of it is lost, not even its end.
func TestLinkStalls(t *testing.T) {
	cfg := LinkConfig{Out: impair.Conditions{Dead: true}, After: time.Second, For: time.Minute}
	withStreams(t, cfg, func(t *testing.T, _ *Link, p *pipes) {
		client, server := p.connect()
		begin := time.Now()
		time.Sleep(2 * time.Second)
		_, _ = client.Write([]byte("late"))
		_ = client.Close()
		got, err := io.ReadAll(server)
		if took := time.Since(begin); string(got) != "late" || err != nil || took < 61*time.Second || took > 62*time.Second {
			t.Errorf("%q after %v, %v", got, took, err)
		}
	})
}

func TestLinkResets(t *testing.T) {
	withStreams(t, LinkConfig{Reset: time.Minute, Seed: 1}, func(t *testing.T, l *Link, p *pipes) {
		var total time.Duration
		for range 200 {
			client, server := p.connect()
			begin := time.Now()
			if _, err := client.Read(make([]byte, 1)); err == nil {
				t.Error("it was not reset")
			}
			if _, err := server.Read(make([]byte, 1)); err == nil {
				t.Error("its other end was not reset")
			}
			total += time.Since(begin)
		}
		if mean := total / 200; mean < 40*time.Second || mean > 80*time.Second {
			t.Errorf("they lived %v on average", mean)
		}
		if s := l.Stats(); s.Resets != 200 {
			t.Errorf("%+v", s)
		}
	})
}

func TestLinkRefuses(t *testing.T) {
	withStreams(t, LinkConfig{MaxPeers: 1}, func(t *testing.T, l *Link, p *pipes) {
		first, _ := p.connect()
		second, near := net.Pipe()
		p.accepted <- near
		if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("one too many: %v", err)
		}
		_ = first.Close()
		synctest.Wait()
		if _, server := p.connect(); server == nil {
			t.Error("its place is not free")
		}
		if s := l.Stats(); s.Conns != 2 || s.Refused != 1 {
			t.Errorf("%+v", s)
		}
	})
	withStreams(t, LinkConfig{}, func(t *testing.T, l *Link, p *pipes) {
		p.nobody.Store(true)
		client, near := net.Pipe()
		p.accepted <- near
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || l.Stats().Refused != 1 {
			t.Errorf("with nobody there: %v, %+v", err, l.Stats())
		}
	})
}

func TestLinkMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		"--to is needed":        {"link"},
		"unknown network":       {"link", "--to", "127.0.0.1:1", "--network", "smoke"},
		"loss is 2":             {"link", "--to", "127.0.0.1:1", "--loss", "2"},
		"way back: delay":       {"link", "--to", "127.0.0.1:1", "--delay-back", "-1s"},
		"come again before":     {"link", "--to", "127.0.0.1:1", "--for", "3s", "--every", "2s"},
		"missing port":          {"link", "--to", "127.0.0.1"},
		"dotslab: opening the ": {"link", "--to", "127.0.0.1:1", "--listen", "256.0.0.1:0"},
	} {
		if code, _, notes := run(t, args...); code == 0 || !strings.Contains(notes, want) {
			t.Errorf("%v: exit code %d, %s", args, code, notes)
		}
	}
}

// TestLinkCommand: real sockets, both networks at one port.
func TestLinkCommand(t *testing.T) {
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	streams, err := net.Listen("tcp", echo.LocalAddr().String())
	if err != nil {
		t.Skipf("the port is not free over TCP: %v", err)
	}
	defer streams.Close()
	var servers sync.WaitGroup
	defer servers.Wait()
	servers.Go(func() { echoDatagram(echo) })
	servers.Go(func() { echoStream(streams) })
	ctx, cancel := context.WithCancel(t.Context())
	notes, out := newLines(), new(strings.Builder)
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"link", "--to", echo.LocalAddr().String(), "--delay", "5ms", "--dead-back=false", "--mtu", "100"}, "test", IO{Out: out, Err: notes})
	}()
	_, rest, _ := strings.Cut(<-notes.lines, "listening on ")
	address, _, _ := strings.Cut(rest, ",")
	for _, network := range []string{"udp", "tcp"} {
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(testLife))
		begin := time.Now()
		_, _ = c.Write([]byte("hello"))
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" || time.Since(begin) < 10*time.Millisecond {
			t.Errorf("%s: %q, %v after %v", network, b, err, time.Since(begin))
		}
		_ = c.Close()
	}
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	for _, want := range []string{"out: 1 datagrams, 0 lost", "largest 5 bytes", "UDP: 1 sources", "TCP: 1 connections, 0 refused, 0 reset; 5 bytes out, 5 back"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it printed %q, without %q", out, want)
		}
	}
}

func echoDatagram(s net.PacketConn) {
	b := make([]byte, 100)
	if n, from, err := s.ReadFrom(b); err == nil {
		_, _ = s.WriteTo(b[:n], from)
	}
}

func echoStream(l net.Listener) {
	if c, err := l.Accept(); err == nil {
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}
}

// lines hands on what is written, a line at a time.
type lines struct{ lines chan string }

func newLines() *lines { return &lines{make(chan string, 16)} }

func (l *lines) Write(b []byte) (int, error) {
	l.lines <- string(b)
	return len(b), nil
}

// TestLinkFlags: what is not said of the way back is as on the way out.
func TestLinkFlags(t *testing.T) {
	var cfg LinkConfig
	all := backFlags(&cfg)
	cfg.Out = impair.Conditions{
		Loss: 0.1, Burst: impair.Burst{Share: 0.2, Mean: 3}, Delay: 4, Jitter: 5, Reorder: 0.6, Hold: 7, Duplicate: 0.8, Flip: 0.9, Dead: true,
		Rate: 10, Queue: 11, MTU: 12,
	}
	for name, take := range all {
		if (&tool{}).linkCommand().Flags().Lookup(name+"-back") == nil {
			t.Errorf("there is no flag --%s-back", name)
		}
		take()
	}
	if cfg.Back != cfg.Out {
		t.Errorf("back is %s", fmt.Sprintf("%+v", cfg.Back))
	}
}
