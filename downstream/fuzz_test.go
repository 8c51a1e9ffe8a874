package downstream

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// FuzzRequest gives a session any method, path, options and body: nothing a client sends ends its session or makes the
// Server panic, what is answered is an answer, and an error has its diagnostic.
func FuzzRequest(f *testing.F) {
	for _, messages := range [][]badMessage{badPath(), badMethod(), badCBOR(), badDOTS()} {
		for _, m := range messages {
			f.Add(m.raw.encode(7))
		}
	}
	good := mitigate(pathMID1, bodyPut)
	observe := plainMessage(coap.GET, pathAll, opt(coap.Observe))
	olderPut := mitigate(pathSignal, bodyOlderPut)
	olderPut.options = append(path(pathSignal), opt(coap.ContentFormat, 60))
	for _, m := range []raw{good, observe, olderPut, mitigate(pathHB, bodyHBTrue), plainMessage(coap.GET, pathConfig, opt(coap.Observe))} {
		f.Add(m.encode(7))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		core := newFakeCore()
		core.report(status(dots.StatusMitigated))
		srv, err := New(Config{Core: core, Profiles: []wire.Profile{rfc9132.New(), draft04.New()}, NodeID: "gate-1"})
		if err != nil {
			t.Fatal(err)
		}
		link, counters := newMemoryLink(false), new(coap.Counters)
		sess, err := coap.NewSession(coap.SessionConfig{
			Link: link, Timers: coap.NewTimers(), Handler: srv, Counters: counters,
			Peer: coap.Identity{SPKI: []byte("key"), Names: []string{"a.example"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Attach(sess, Listener{Profiles: []string{"rfc9132", "draft04"}}); err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{t: t, sess: sess, link: link, counters: counters}
		sess.Input(datagram)
		for len(link.out) > 0 {
			p.describe(<-link.out)
		}
		if n := counters.Panics.Load(); n != 0 {
			t.Errorf("%d panics", n)
		}
		if sess.Err() != nil {
			t.Errorf("the session ended: %v", sess.Err())
		}
	})
}
