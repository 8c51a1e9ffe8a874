package coap

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tls12CID is the content type of a record with a connection ID (RFC 9146, Section 4).
const tls12CID = 25

// RFC 9146: sessions have connection IDs without being asked for it, whoever protects their records at either end. And RFC 6347, Section
// 4.2.8: a client of ours that is gone without a word comes back from the same address, and its old session is left to its
// heartbeats.
func TestDTLSConnectionIDAndRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		server front.RecordPath
		own    bool // the client protects its records itself
	}{"own, own": {front.Own, true}, "own, library": {front.Own, false}, "library, own": {front.Pion, true}, "library, library": {front.Pion, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := testpki.New(t, "root")
				set := credentialsOf(t, ca, ca.Client("a.example")).current.Load()
				var n memNet
				sessions := make(chan *Session, 4)
				_, stop := virtualServer(t, nil, ServerConfig{
					Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()), Front: FrontConfig{RecordPath: tt.server},
					OnSession: func(s *Session) error {
						sessions <- s
						return nil
					},
				}, n.socket(1))
				timers, counters := NewTimers(), new(Counters)
				runTimers(t, timers)
				connect := func() (*Session, *tapSocket, *keeper) {
					tap := &tapSocket{memSocket: n.socket(2)}
					own := tap.client(counters)
					own.PacketConn = tap
					if tt.own {
						own.records = new(clientRecords)
					}
					conn, err := clientDTLS(t.Context(), set, own, "localhost")
					if err != nil {
						t.Fatal(err)
					}
					k := newKeeper(0, 0)
					s, err := k.adopt(conn, SessionConfig{Timers: timers, Counters: counters}, nil)
					if err != nil {
						t.Fatal(err)
					}
					return s, tap, k
				}
				first, tap, k := connect()
				old := <-sessions
				ping(t, first, old, "first")
				before := len(tap.sentSince(0))
				ping(t, first, old, "with a connection ID")
				for _, b := range tap.sentSince(before) {
					if record.ContentType(b[0]) != tls12CID {
						t.Errorf("a record of type %d left", b[0])
					}
				}

				// The client crashes: nothing of it is heard any more.
				tap.setFail(net.ErrClosed)
				second, _, again := connect()
				fresh := <-sessions
				ping(t, second, fresh, "second")
				synctest.Wait()
				if old.Err() != nil || fresh.Err() != nil { // whoever has a connection ID may be elsewhere by now
					t.Errorf("the old session has %v, the new one %v", old.Err(), fresh.Err())
				}
				k.shutdown()
				again.shutdown()
				stop()
			})
		})
	}
}
