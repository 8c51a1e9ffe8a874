package coap

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// longLeaf is a certificate of some 3 KB below an intermediate authority.
func longLeaf(ca *testpki.Authority, name string) *testpki.Leaf {
	names := []string{name}
	for i := range 60 {
		names = append(names, fmt.Sprintf("a-rather-long-name-of-no-importance-%02d.example", i))
	}
	return ca.Intermediate("below the root").Issue(testpki.Request{CommonName: name, Names: names})
}

// pathHandler serves a large body that may be observed, and takes one.
type pathHandler struct{ observer chan *Observer }

func (h pathHandler) ServeCoAP(ex *Exchange) {
	switch req := ex.Request(); {
	case req.Code == GET && req.Options.Has(Observe):
		h.observer <- ex.Observe(&Message{Code: Content, Payload: pattern(5000)}, nil)
	case req.Code == GET:
		ex.Respond(&Message{Code: Content, Payload: pattern(5000)})
	default:
		ex.Respond(&Message{Code: Changed, Payload: pattern(len(req.Payload))})
	}
}

// RFC 9132, Section 7.3: no packet is larger than the path takes: not in handshakes with long chains of certificates, nor with requests,
// responses and notifications of any size, nor in the end.
func TestNoPacketIsLargerThanThePath(t *testing.T) {
	for _, pathMTU := range []int{0, 576, 1280, 1500} {
		for _, path := range []front.RecordPath{front.Own, front.Pion} {
			t.Run(fmt.Sprintf("%d %v", pathMTU, path), func(t *testing.T) {
				var largest, packets atomic.Int64
				synctest.Test(t, func(t *testing.T) {
					sizes := func(n int) {
						packets.Add(1)
						for packet := int64(n + packetHeaders); ; {
							if old := largest.Load(); packet <= old || largest.CompareAndSwap(old, packet) {
								return
							}
						}
					}
					useThePath(t, &memNet{sizes: sizes}, pathMTU, path)
				})
				most := int64(withDefaultMTU(pathMTU))
				if got := largest.Load(); got > most || got < most-64 || packets.Load() < 40 {
					t.Errorf("the largest of %d packets has %d bytes, the path takes %d", packets.Load(), got, most)
				}
			})
		}
	}
}

// useThePath sends all that is large over a path.
func useThePath(t *testing.T, n *memNet, pathMTU int, path front.RecordPath) {
	ca := testpki.New(t, "root")
	h := pathHandler{make(chan *Observer, 1)}
	_, stop := virtualServer(t, nil, ServerConfig{
		Network: NetworkUDP, Credentials: credentialsOf(t, ca, longLeaf(ca, "localhost")), PathMTU: pathMTU,
		Front: FrontConfig{RecordPath: path}, Session: SessionConfig{Handler: h},
	}, n.socket(1))
	defer stop()
	own := n.socket(2).client(new(Counters))
	own.pathMTU = pathMTU
	if path == front.Own {
		own.records = new(clientRecords)
	}
	conn, err := clientDTLS(t.Context(), credentialsOf(t, ca, longLeaf(ca, "a.example")).current.Load(), own, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	k, timers := newKeeper(0, 0), NewTimers()
	runTimers(t, timers)
	client, err := k.adopt(conn, SessionConfig{Timers: timers, Limits: Limits{}.onPath(pathMTU)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.shutdown()
	for size := range 120 { // around every limit by steps of 13 bytes
		req := put(pattern(13*size), "x")
		req.NonConfirmable = size%2 == 0
		m, err := client.Do(t.Context(), req)
		if err != nil || !bytes.Equal(m.Payload, pattern(13*size)) {
			t.Fatalf("a request of %d bytes: %v", 13*size, err)
		}
	}
	if m, err := client.Do(t.Context(), get("x")); err != nil || !bytes.Equal(m.Payload, pattern(5000)) {
		t.Fatalf("a large response: %v", err)
	}
	notices := make(chan *Message, 4)
	if _, err = client.Observe(t.Context(), get("x"), func(m *Message) { notices <- m }); err != nil {
		t.Fatal(err)
	}
	<-notices
	time.Sleep(time.Minute)
	(<-h.observer).Notify(&Message{Code: Content, Payload: pattern(4000)})
	if m := <-notices; !bytes.Equal(m.Payload, pattern(4000)) {
		t.Errorf("a large notification came with %d bytes", len(m.Payload))
	}
}
