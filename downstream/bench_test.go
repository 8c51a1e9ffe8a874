package downstream

import (
	"testing"

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
