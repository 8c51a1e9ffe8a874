package coap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/impair"
	"github.com/dotsgate/dotsgate/internal/testpki"
	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// Links of the bad network carry sessions.
var _ Link = (*impair.Link)(nil)

// impairedDoor is a socket of the bad network as the network of a front.
type impairedDoor struct{ *impair.Socket }

func (d impairedDoor) Run(handle func(via front.Sender, b []byte, from sockets.Path)) {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := d.ReadFromAddrPort(buf)
		if err != nil {
			return
		}
		handle(d, buf[:n], sockets.Path{Peer: from})
	}
}

func (d impairedDoor) Send(b []byte, to sockets.Path) { _, _ = d.WriteToAddrPort(b, to.Peer) }

func (d impairedDoor) Stop() { _ = d.SetReadDeadline(time.Now()) }

func (d impairedDoor) Sender(sockets.Path) front.Sender { return d }

func (d impairedDoor) Addr() net.Addr { return d.LocalAddr() }

// impairedPair is two sessions over DTLS and a bad network, both with records of ours.
type impairedPair struct {
	client, server     *Session
	socket             *impair.Socket // the client's
	own                *clientRecords
	door               *front.Counters
	counters           *Counters // of the client
	serverCounters     *Counters
	atServer, atClient *executions
	close              func()
}

// executions counts how often each request was carried out.
type executions struct {
	mu    sync.Mutex
	times map[string]int
}

func (e *executions) ServeCoAP(ex *Exchange) {
	e.mu.Lock()
	e.times[string(ex.Request().Payload)]++
	e.mu.Unlock()
	ex.Respond(&Message{Code: Changed})
}

// of is how often a request was carried out.
func (e *executions) of(payload string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.times[payload]
}

// newImpairedPair shakes hands before anything is impaired. The test must call close.
func newImpairedPair(t *testing.T) *impairedPair {
	t.Helper()
	ca, n := testpki.New(t, "root"), impair.NewNetwork(1)
	at := func(port uint16) *impair.Socket {
		s, err := n.Listen(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p := &impairedPair{
		socket: at(2), own: new(clientRecords), door: new(front.Counters), counters: new(Counters), serverCounters: new(Counters),
		atServer: &executions{times: make(map[string]int)}, atClient: &executions{times: make(map[string]int)},
	}
	accepted := make(chan *Session, 1)
	cfg := ServerConfig{
		Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()), Front: FrontConfig{Counters: p.door},
		Session: SessionConfig{Handler: p.atServer, Counters: p.serverCounters},
		OnSession: func(s *Session) error {
			accepted <- s
			return nil
		},
	}
	a, err := newUDPAcceptor(cfg, impairedDoor{at(1)})
	if err != nil {
		t.Fatal(err)
	}
	_, stop := virtualServer(t, a, cfg)
	own := &dtlsSocket{PacketConn: p.socket, server: memAddr(1), counters: p.counters, records: p.own}
	conn, err := clientDTLS(t.Context(), credentialsOf(t, ca, ca.Client("a.example")).current.Load(), own, "localhost")
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	k, timers := newKeeper(0, 0), NewTimers()
	runTimers(t, timers)
	if p.client, err = k.adopt(conn, SessionConfig{Timers: timers, Counters: p.counters, Handler: p.atClient}, nil); err != nil {
		t.Fatal(err)
	}
	p.server = <-accepted
	p.close = func() {
		k.shutdown()
		stop()
	}
	return p
}

// requests sends PUTs one after the other until the time is over, every other one as a NON, and checks that each is answered and
// that no CON is carried out but once. A NON that is sent again has a message id of its own, so it is a request of its own to CoAP.
func requests(t *testing.T, from *Session, at *executions, until time.Time) (n int) {
	t.Helper()
	for ; time.Now().Before(until); n++ {
		req := put(fmt.Appendf(nil, "%d", n), "x")
		req.NonConfirmable = n%2 == 1
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		resp, err := from.Do(ctx, req)
		cancel()
		if err != nil || resp.Code != Changed {
			t.Errorf("request %d: %v, %v", n, resp, err)
			return n
		}
		if times := at.of(string(req.Payload)); times != 1 && !req.NonConfirmable {
			t.Errorf("request %d was carried out %d times", n, times)
		}
		time.Sleep(250 * time.Millisecond)
	}
	return n
}

// TestImpairedHour: an hour in which a quarter of all datagrams is overtaken, a tenth comes twice and a hundredth with a bit turned
// over, both ways, ends no session, and carries nothing out twice. RFC 6347, Section 4.1.2.7: invalid records are discarded
// silently; Section 4.1.2.6: those that come again, too.
func TestImpairedHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newImpairedPair(t)
		bad := impair.Conditions{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: 0.25, Duplicate: 0.1, Flip: 0.01}
		p.socket.Impair(bad, bad)
		until := time.Now().Add(time.Hour)
		var up, down int
		var both sync.WaitGroup
		for range 2 { // so that there is something to overtake
			both.Go(func() {
				for time.Now().Before(until) {
					ping, cancel := context.WithTimeout(t.Context(), time.Minute)
					if err := p.client.Ping(ping); err != nil {
						t.Errorf("Ping() = %v", err)
					}
					cancel()
					time.Sleep(500 * time.Millisecond)
				}
			})
		}
		both.Go(func() { up = requests(t, p.client, p.atServer, until) })
		both.Go(func() { down = requests(t, p.server, p.atClient, until) })
		both.Wait()
		if p.client.Err() != nil || p.server.Err() != nil {
			t.Errorf("the sessions ended: %v, %v", p.client.Err(), p.server.Err())
		}
		time.Sleep(time.Hour) // whatever was held back has come
		checkOnce(t, "server", p.atServer, p.counters, up)
		checkOnce(t, "client", p.atClient, p.serverCounters, down)
		out, in := p.socket.Out().Counts(), p.socket.In().Counts()
		for name, c := range map[string]impair.Counts{"out": out, "in": in} {
			if c.HeldBack == 0 || c.Doubled == 0 || c.Flipped == 0 || c.Lost > 0 || c.Dropped > 0 {
				t.Errorf("%s: %+v", name, c)
			}
		}
		// All that was turned over or doubled was dropped by the record layers, and nothing else.
		if got := p.door.Dropped.Replayed.Load(); got < out.Doubled*9/10 || got > out.Doubled+out.Flipped {
			t.Errorf("the server dropped %d records that came again, of %d", got, out.Doubled)
		}
		if got := p.own.drops.Replayed.Load(); got < in.Doubled*9/10 || got > in.Doubled+in.Flipped {
			t.Errorf("the client dropped %d records that came again, of %d", got, in.Doubled)
		}
		if got := p.own.drops.Forged.Load(); got == 0 || got > in.Flipped {
			t.Errorf("the client dropped %d forged records, of %d", got, in.Flipped)
		}
		client, server := p.counters.Values(), p.serverCounters.Values()
		for name, v := range map[string]CounterValues{"client": client, "server": server} {
			if v.Malformed != 0 || v.Timeouts != 0 || v.Duplicates > client.Retransmissions+server.Retransmissions {
				t.Errorf("%s: %+v", name, v)
			}
		}
		t.Logf("%d requests up, %d down; out %+v, in %+v", up, down, out, in)
		p.close()
		if err := p.client.Err(); !errors.Is(err, ErrClosed) {
			t.Errorf("the client's session ended with %v", err)
		}
	})
}

// checkOnce wants every request to have been carried out, the CONs once, and the NONs as often as they were sent at most.
func checkOnce(t *testing.T, where string, e *executions, sender *Counters, n int) {
	t.Helper()
	extra := uint64(0)
	for i := range n {
		times := e.of(fmt.Sprint(i))
		if times < 1 || times > 1 && i%2 == 0 {
			t.Errorf("%s: request %d was carried out %d times", where, i, times)
		}
		extra += uint64(max(0, times-1))
	}
	if again := sender.Retransmissions.Load(); n < 5000 || extra > again {
		t.Errorf("%s: %d requests, %d carried out again, and %d were sent again", where, n, extra, again)
	}
}
