package resilience

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// What connections that say nothing may cost, and how long they are held.
const (
	streamNetwork = 96
	streamBytes   = 16 << 10
	streamTime    = 15 * time.Second
	streamWait    = 10 * time.Second // for a handshake and an answer beside them
)

// silentStreams: connections that say nothing, and as many that say a byte a second. Whoever is cut off comes back. Beside
// them clients come, ask and go.
func silentStreams(t *testing.T) {
	g := startGateway(t)
	n := counts.streams.get(t)
	dial := g.streams(t)
	if err := dial(); err != nil { // what is made once is not a connection's
		t.Fatal(err)
	}
	before := g.figures()

	c := newCrowd(g.address.String())
	c.come(2*n, 64)
	held := c.open.Load()
	watch := g.watching()
	var took []time.Duration
	failures := 0
	var first error
	for begin := time.Now(); time.Since(begin) < streamTime; time.Sleep(100 * time.Millisecond) {
		start := time.Now()
		if err := dial(); err != nil {
			failures++
			first = errors.Join(first, err)
		}
		took = append(took, time.Since(start))
	}
	during := watch.end()
	most := c.open.Load()
	c.leave()

	slices.Sort(took)
	say("%d idle and %d trickling connections: %d open at the beginning, %d at the end, %d were cut off and came again", n, n, held, most, c.again.Load())
	must(t, failures == 0, "%d fresh TLS sessions, %d without an answer within %v (%.200v); %s", len(took), failures, streamWait, first, quantiles(took))
	cost := lowest(during, func(f figures) float64 { return f.heap + f.stacks }) - before.heap - before.stacks
	each := cost / float64(max(held, most, 1))
	must(t, each <= streamBytes, "heap and stack: %.1f KB for each (%.1f MB; goroutines %.0f at most)", each/1e3, cost/1e6, highest(during, goroutines))
	say("resident %.0f MB at most, before %.0f MB", highest(during, resident)/1e6, before.resident/1e6)
}

// streams returns what makes a TLS session, asks once and ends it.
func (g *gateway) streams(t *testing.T) func() error {
	t.Helper()
	credentials, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: filepath.Join(g.dir, "client.pem"), KeyFile: filepath.Join(g.dir, "client.key"), CAFile: filepath.Join(g.dir, "ca.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := coap.NewDialer(coap.DialConfig{
		Network: coap.NetworkTCP, Address: g.address.String(), ServerName: "localhost", Credentials: credentials,
		Session: coap.SessionConfig{Handler: coap.HandlerFunc(func(ex *coap.Exchange) { ex.Respond(&coap.Message{Code: coap.Changed}) })},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx) // ended below
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return func() error {
		ctx, cancel := context.WithTimeout(ctx, streamWait)
		defer cancel()
		s, err := d.Dial(ctx)
		if err != nil {
			return fmt.Errorf("dialling: %w", err)
		}
		defer s.Close()
		m, err := s.Do(ctx, heartbeatMessage())
		if err != nil {
			return fmt.Errorf("asking: %w", err)
		}
		if m.Code != coap.Changed {
			return fmt.Errorf("a heartbeat was answered %s", m.Code)
		}
		return nil
	}
}

// heartbeatMessage is a heartbeat for a session of internal/coap.
func heartbeatMessage() *coap.Message {
	out, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
	if err != nil {
		panic(err) // it is our own and can be said
	}
	m := &coap.Message{Code: coap.Code(out.Method), Payload: out.Payload}
	m.Options.SetPath(out.Path...)
	if out.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(out.Format.Value))
	}
	return m
}

// crowd is connections that say nothing, or next to nothing.
type crowd struct {
	to          string
	ctx         context.Context
	cancel      context.CancelFunc
	all         sync.WaitGroup
	open, again atomic.Int64
}

func newCrowd(to string) *crowd {
	c := &crowd{to: to}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// come opens connections, several at a time, and returns when each has been open once or has failed. Every second one
// trickles.
func (c *crowd) come(n, atOnce int) {
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		c.all.Go(func() { c.one(i, sync.OnceFunc(func() { <-slots })) })
	}
	for range atOnce {
		slots <- struct{}{}
	}
}

// leave closes all and waits.
func (c *crowd) leave() {
	c.cancel()
	c.all.Wait()
}

// one connects from an address of its own, and again whenever it is cut off.
func (c *crowd) one(i int, tried func()) {
	defer tried()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: at(streamNetwork, i).AsSlice()}, Timeout: streamWait}
	for c.ctx.Err() == nil {
		conn, err := d.DialContext(c.ctx, "tcp", c.to)
		if err == nil {
			c.open.Add(1)
			tried()
			c.hold(conn, i%2 == 1)
			c.open.Add(-1)
		}
		tried()
		if c.ctx.Err() == nil {
			c.again.Add(1)
		}
		select {
		case <-time.After(time.Second):
		case <-c.ctx.Done():
		}
	}
}

// hold keeps a connection until it is cut off or all leave.
func (c *crowd) hold(conn net.Conn, trickles bool) {
	defer conn.Close()
	defer context.AfterFunc(c.ctx, func() { _ = conn.Close() })()
	// A ClientHello's record and its beginning; what follows never comes whole.
	hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, make([]byte, 500)...)
	b := make([]byte, 1)
	for said := 0; ; said++ {
		if trickles {
			if _, err := conn.Write(hello[said%len(hello):][:1]); err != nil {
				return
			}
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // the read tells
		}
		_, err := conn.Read(b)
		var timeout net.Error
		if err != nil && (!trickles || !errors.As(err, &timeout) || !timeout.Timeout()) {
			return
		}
	}
}
