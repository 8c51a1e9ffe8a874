package app

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/logging"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// The load of the benchmark: sessions, and requests in flight on each, every one for a mitigation of its own.
const (
	benchSessions = 64
	benchInFlight = 8
)

// BenchmarkRefresh is the way of a refresh through the whole gateway, from the client's datagram over decision, commit and uplink to the answer,
// with a real store and without sockets and cryptography. The uplink answers at once, and so many refreshes are in flight that commits are shared.
// Whoever compares two versions counts instructions rather than time: perf stat -e instructions:u.
func BenchmarkRefresh(b *testing.B) {
	for _, pending := range []int{upstream.DefaultMaxInFlight, 2 * benchSessions * benchInFlight} {
		b.Run(fmt.Sprintf("uplink=%d", pending), func(b *testing.B) { benchRefresh(b, pending) })
	}
}

func benchRefresh(b *testing.B, pending int) {
	r := newRefreshRig(b, pending)
	for s := range r.clients {
		for slot := range benchInFlight {
			r.send(s, slot)
		}
	}
	r.await(b, benchSessions*benchInFlight, coap.Created)
	b.ReportAllocs()
	b.ResetTimer()
	left, out := b.N, 0
	for s := range r.clients {
		for slot := range benchInFlight {
			if left > 0 {
				r.send(s, slot)
				left, out = left-1, out+1
			}
		}
	}
	for ; out > 0; out-- {
		n := r.answer(b, coap.Changed)
		if left > 0 {
			r.send(n/benchInFlight, n%benchInFlight)
			left, out = left-1, out+1
		}
	}
}

// refreshRig is a gateway whose sessions end in memory.
type refreshRig struct {
	clients []*coap.Session
	puts    [][]byte // datagrams by slot of all sessions
	mids    [benchSessions]uint16
	answers chan []byte // to clients
}

// benchLink hands what a session writes on.
type benchLink struct{ to func(b []byte) }

func (l benchLink) WriteRecord(b []byte) error { l.to(b); return nil }
func (benchLink) Close() error                 { return nil }
func (benchLink) LocalAddr() net.Addr          { return &net.UDPAddr{} }
func (benchLink) RemoteAddr() net.Addr         { return &net.UDPAddr{} }
func (benchLink) Reliable() bool               { return false }

func newRefreshRig(b *testing.B, pending int) *refreshRig {
	b.Helper()
	pki := newPKI(b)
	text := strings.Replace(gatewayText(pki, "127.0.0.1:9", "dtls", ""), "    clients:", "    limits: {max_mitigations: 1000, max_cuids: 1000}\n    clients:", 1)
	cfg, err := config.Load(writeText(b, text))
	if err != nil {
		b.Fatal(err)
	}
	cfg.Mitigation.AnswerWait = time.Minute
	log, err := logging.New(io.Discard, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		b.Fatal(err)
	}
	a, err := Build(b.Context(), cfg, log, "bench")
	if err != nil {
		b.Fatal(err)
	}
	timers := coap.NewTimers()
	a.upstream, err = upstream.New(upstream.Config{
		Events: a.gateway, Logger: log, Meter: a.linkMeter, MaxInFlight: pending, HeartbeatInterval: -1,
		Links: []upstream.LinkConfig{{Name: "upstream", Profile: rfc9132.New(), Dial: func(context.Context) (*coap.Session, error) {
			return newBenchUplink(b, timers, &a.up)
		}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	a.gateway.Connect(a.upstream, a.downstream)
	runBench(b, a.Run)
	runBench(b, timers.Run)
	eventually(b, "the uplink is up", a.ready)
	r := &refreshRig{answers: make(chan []byte, benchSessions*benchInFlight)}
	for s := range benchSessions {
		r.attach(b, a, timers, s)
	}
	return r
}

// runBench runs a part until the benchmark ends.
func runBench(b *testing.B, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Errorf("stopping: %v", err)
		}
	})
}

// attach makes a client's session, and what it will ask.
func (r *refreshRig) attach(b *testing.B, a *App, timers *coap.Timers, s int) {
	sess, err := coap.NewSession(coap.SessionConfig{
		Link: benchLink{r.take}, Timers: timers, Handler: a.downstream, Counters: &a.down,
		Peer: coap.Identity{SPKI: []byte("client1"), Names: []string{"client1.lab.example"}}, Limits: downstream.SessionLimits(),
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := a.downstream.Attach(sess, downstream.Listener{}); err != nil {
		b.Fatal(err)
	}
	r.clients = append(r.clients, sess)
	for slot := range benchInFlight {
		r.puts = append(r.puts, benchPut(b, s, slot))
	}
}

// take keeps what a client is answered. Heartbeats, which come when the benchmark takes long, are let alone.
func (r *refreshRig) take(m []byte) {
	if !coap.Code(m[1]).IsRequest() {
		r.answers <- append([]byte(nil), m...)
	}
}

// benchPut is a NON PUT of a mitigation; its token says which it is.
func benchPut(b *testing.B, s, slot int) []byte {
	n := s*benchInFlight + slot
	host := netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})
	if n >= 256 {
		host = netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
	}
	out, err := rfc9132.New().EncodeRequest(wire.Request{
		Op: wire.PutMitigation, CUID: fmt.Sprintf("benchbenchbenchbenc%03d", s), MID: dots.Some(uint32(slot + 1)),
		Mitigation: dots.Request{
			MID: uint32(slot + 1), Lifetime: dots.Some(dots.DefaultLifetime),
			Target: dots.Target{Prefixes: []netip.Prefix{netip.PrefixFrom(host, 32)}, Ports: []dots.PortRange{{Lower: 443, Upper: 443}}, Protocols: []uint8{6}},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	m := carry.RequestMessage(out, carry.NON)
	var datagram []byte
	sess, err := coap.NewSession(coap.SessionConfig{Link: benchLink{func(m []byte) { datagram = append([]byte(nil), m...) }}, Timers: coap.NewTimers()})
	if err != nil {
		b.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	_, _ = sess.Do(ended, m) // it is sent, and nobody waits for an answer
	binary.BigEndian.PutUint32(datagram[4:], uint32(n))
	return datagram
}

// send hands a session the PUT of a slot, under a new message id.
func (r *refreshRig) send(s, slot int) {
	datagram := r.puts[s*benchInFlight+slot]
	r.mids[s]++
	binary.BigEndian.PutUint16(datagram[2:], r.mids[s])
	r.clients[s].Input(datagram)
}

// answer waits for an answer, which must have the code, and returns whose it is.
func (r *refreshRig) answer(b *testing.B, want coap.Code) int {
	m := <-r.answers
	if code := coap.Code(m[1]); code != want {
		b.Fatalf("answered %v, want %v: %q", code, want, m[4:])
	}
	return int(binary.BigEndian.Uint32(m[4:]))
}

func (r *refreshRig) await(b *testing.B, n int, want coap.Code) {
	for range n {
		r.answer(b, want)
	}
}

// newBenchUplink makes a session whose peer grants every PUT at once.
func newBenchUplink(b *testing.B, timers *coap.Timers, counters *coap.Counters) (*coap.Session, error) {
	answers := make(chan []byte, 4096)
	sess, err := coap.NewSession(coap.SessionConfig{
		Link: benchLink{func(m []byte) { answers <- grantOf(m) }}, Timers: timers, Counters: counters, Limits: upstream.SessionLimits(),
	})
	if err != nil {
		return nil, err
	}
	runBench(b, func(ctx context.Context) error {
		for {
			select {
			case m := <-answers:
				sess.Input(m)
			case <-ctx.Done():
				return nil
			}
		}
	})
	return sess, nil
}

// grantOf answers a request as the simplest server does: 2.04 to a PUT, without saying what it grants, 4.04 to anything else.
func grantOf(m []byte) []byte {
	code := coap.NotFound
	if coap.Code(m[1]) == coap.PUT {
		code = coap.Changed
	}
	return append([]byte{m[0], byte(code)}, m[2:4+m[0]&0x0f]...)
}
