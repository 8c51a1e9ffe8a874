package downstream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// refreshing is a Core that grants every refresh at once.
type refreshing struct{ *fakeCore }

func (refreshing) Mitigate(ask dots.Ask, done func(dots.Answer, error)) {
	done(dots.Answer{Code: dots.CodeChanged, MID: ask.Request.MID, Lifetime: 3600}, nil)
}

// sink is a link that forgets.
type sink struct{ *memoryLink }

func (sink) WriteRecord([]byte) error { return nil }

// BenchmarkRefresh is the way of a refresh from the datagram to its answer, without cryptography and without a core.
func BenchmarkRefresh(b *testing.B) {
	srv, err := New(Config{Core: refreshing{newFakeCore()}, Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1"})
	if err != nil {
		b.Fatal(err)
	}
	sess, err := coap.NewSession(coap.SessionConfig{
		Link: sink{newMemoryLink(false)}, Timers: coap.NewTimers(), Handler: srv,
		Peer: coap.Identity{SPKI: []byte("key"), Names: []string{"a.example"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := srv.Attach(sess, Listener{}); err != nil {
		b.Fatal(err)
	}
	m := mitigate(pathMID1, bodyPut)
	datagram := m.encode(0)
	b.ReportAllocs()
	var mid uint16
	for b.Loop() {
		mid++
		datagram[2], datagram[3], datagram[4], datagram[5] = byte(mid>>8), byte(mid), byte(mid>>8), byte(mid)
		sess.Input(datagram)
	}
}

// BenchmarkIdleSession is what an attached session costs in memory, beside the session itself.
func BenchmarkIdleSession(b *testing.B) {
	srv, err := New(Config{Core: newFakeCore(), Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1"})
	if err != nil {
		b.Fatal(err)
	}
	link, timers := sink{newMemoryLink(false)}, coap.NewTimers()
	identity := coap.Identity{SPKI: []byte("key"), Names: []string{"a.example"}}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		sess, err := coap.NewSession(coap.SessionConfig{Link: link, Timers: timers, Handler: srv, Peer: identity})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := srv.Attach(sess, Listener{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFanOut tells the observers of one mitigation that it has changed, sessions of one client each: from Changed to the notifications in the
// hands of the sessions, encoded, without a core and without cryptography.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprintf("observers=%d", n), func(b *testing.B) {
			core, meter, now := newFakeCore(), newCountingMeter(), time.Unix(1000000, 0)
			core.report(dots.Report{
				MID: 1, Lifetime: 3000, Status: dots.StatusMitigated, Start: dots.Some[uint64](1),
				Counters: dots.Counters{BytesDropped: dots.Some[uint64](1), PktsDropped: dots.Some[uint64](2)},
			})
			srv, err := New(Config{
				Core: core, Profiles: []wire.Profile{rfc9132.New()}, NodeID: "gate-1", Meter: meter, MaxObserversPerClient: n, MinNotifyGap: 1,
				Now: func() time.Time { return now },
			})
			if err != nil {
				b.Fatal(err)
			}
			for range n {
				observeRaw(b, srv)
			}
			ctx, key := context.Background(), dots.MitigationKey{Client: core.asked[0].Client, MID: 1}
			before := meter.notified["2.05"]
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Microsecond) // so that no heartbeat is due
				srv.Changed(key)
				srv.alarms.ringDue(ctx)
			}
			if got := meter.notified["2.05"] - before; got != b.N*n {
				b.Fatalf("%d notifications of %d", got, b.N*n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/observer")
		})
	}
}

// observeRaw attaches a session over a link that forgets, which observes a mitigation.
func observeRaw(b *testing.B, srv *Server) {
	b.Helper()
	sess, err := coap.NewSession(coap.SessionConfig{
		Link: sink{newMemoryLink(false)}, Timers: coap.NewTimers(), Handler: srv, Limits: SessionLimits(),
		Peer: coap.Identity{SPKI: []byte("key"), Names: []string{"a.example"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := srv.Attach(sess, Listener{}); err != nil {
		b.Fatal(err)
	}
	m := raw{typ: con, code: coap.GET, options: append(path(pathMID1), opt(coap.Observe))}
	sess.Input(m.encode(1))
}
