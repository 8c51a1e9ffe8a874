package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// sum adds up what all queues have counted.
func sum(s *Sockets) (c Counters) {
	for _, q := range s.Counters() {
		c.Received += q.Received
		c.Sent += q.Sent
		c.Dropped += q.Dropped
		c.Failed += q.Failed
		c.Cut += q.Cut
		c.Lost += q.Lost
	}
	return c
}

// TestBatch lets datagrams pile up while the handler is held: they are handed on in the order they came, each whole, and
// their answers leave when the batch is done.
func TestBatch(t *testing.T) {
	const n = 200 // three batches and a part
	hold := make(chan struct{})
	entered := make(chan struct{}, 1)
	s := listen(t, Config{Address: "127.0.0.1:0", Plain: true}, func(q *Queue, b []byte, from Path) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-hold
		q.Send(b, from)
		clear(b) // it is the handler's: neither what was sent nor what follows is hurt
	})
	c := peer(t, "", s.Addr())
	if err := c.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	text := func(i int) string { return fmt.Sprintf("%0*d", 10+i, i) }
	for i := range n {
		send(t, c, []byte(text(i)))
		if i == 0 {
			<-entered
		}
	}
	close(hold)
	for i := range n {
		if got := receive(t, c); got != text(i) {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
}

// TestOutboxFull fills an outbox that nobody empties: what is too much is counted and lost, the rest leaves later.
func TestOutboxFull(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Plain: true, Outbox: 10})
	if err != nil {
		t.Fatal(err)
	}
	c := peer(t, "", s.Addr())
	to := Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	q := s.Queues()[0]
	for i := range 25 {
		q.Send([]byte{byte(i)}, to)
	}
	if got := s.Counters()[0]; got.Dropped != 15 || got.Sent != 0 || got.Queued != 10 {
		t.Errorf("counted %+v, wanted 15 dropped and 10 queued", got)
	}
	run(t, s, echo)
	for i := range 10 {
		if got := receive(t, c); got != string([]byte{byte(i)}) {
			t.Fatalf("datagram %d is %q", i, got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	q.Send([]byte("late"), to)
	if got := sum(s); got.Dropped != 16 || got.Sent != 10 {
		t.Errorf("counted %+v, wanted 16 dropped and 10 sent", got)
	}
}

func TestOutboxBytes(t *testing.T) {
	o := outbox{most: 1 << 20}
	big := make([]byte, 1<<20)
	for i := range 6 {
		if taken, _ := o.put(big, Path{}); taken != (i < 4) {
			t.Errorf("datagram %d of 1 MiB: taken is %v", i, taken)
		}
	}
	b, ok := o.take()
	if !ok || len(b.letters) != 4 {
		t.Fatalf("took %d, %v", len(b.letters), ok)
	}
	if o.give(b); cap(o.spare.arena) > keptArena || cap(o.spare.letters) > keptLetters {
		t.Errorf("kept %d bytes and %d letters", cap(o.spare.arena), cap(o.spare.letters))
	}
}

// TestOutboxFlusher walks through who is responsible for what waits.
func TestOutboxFlusher(t *testing.T) {
	o := outbox{most: 10}
	if !o.claim() || o.claim() {
		t.Fatal("the first claim is good, the second is not")
	}
	if taken, appointed := o.put([]byte("a"), Path{}); !taken || appointed {
		t.Error("the reader will see this: nobody else is needed")
	}
	b, ok := o.take()
	if !ok || string(b.arena) != "a" {
		t.Fatalf("took %q, %v", b.arena, ok)
	}
	if taken, appointed := o.put([]byte("b"), Path{}); !taken || appointed {
		t.Error("the flusher is at work, and will be told that there is more")
	}
	if !o.give(b) {
		t.Fatal("there is more")
	}
	b, ok = o.take()
	if !ok || string(b.arena) != "b" {
		t.Fatalf("took %q, %v", b.arena, ok)
	}
	if o.give(b) {
		t.Fatal("there is no more")
	}
	if _, appointed := o.put([]byte("c"), Path{}); !appointed {
		t.Error("there was no flusher")
	}
	if b, _ = o.take(); string(b.arena) != "c" {
		t.Errorf("took %q from memory that was used before", b.arena)
	}
	if _, ok := o.take(); ok {
		t.Error("took nothing")
	}
	if !o.claim() {
		t.Error("a flusher that found nothing is one no longer")
	}
}

// TestManySenders sends from many goroutines and from the handler at once: nothing lies in the outbox, nothing is torn, and
// what one goroutine sends keeps its order.
func TestManySenders(t *testing.T) {
	const senders, each, window = 16, 200, 64
	s := listen(t, Config{Address: "127.0.0.1:0", Queues: 1}, echo)
	c := peer(t, "", s.Addr())
	if err := c.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	to := Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	q := s.Queues()[len(s.Queues())-1]
	room := make(chan struct{}, window) // on the way, so that no buffer of the system overflows
	var all sync.WaitGroup
	for n := range senders {
		all.Go(func() {
			for i := range each {
				room <- struct{}{}
				b := binary.BigEndian.AppendUint32([]byte{23, byte(n)}, uint32(i))
				if n%2 == 0 {
					q.Send(b, to)
				} else if _, err := c.Write(b); err != nil { // the handler sends it
					t.Error(err)
				}
			}
		})
	}
	next := make([]uint32, senders)
	for range senders * each {
		b := []byte(receive(t, c))
		<-room
		if len(b) != 6 || int(b[1]) >= senders {
			t.Fatalf("got %x", b)
		}
		if i := binary.BigEndian.Uint32(b[2:]); i != next[b[1]] {
			t.Fatalf("sender %d: got %d, wanted %d", b[1], i, next[b[1]])
		}
		next[b[1]]++
	}
	all.Wait()
	s.Stop() // what has left is counted after it has
	if got := sum(s); got.Sent != senders*each || got.Dropped+got.Failed != 0 {
		t.Errorf("counted %+v", got)
	}
}

// TestRefused sends to where the system will not send: the others in the batch leave all the same.
func TestRefused(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	c := peer(t, "", s.Addr())
	q, good := s.Queues()[0], Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	bad := []Path{
		{},
		{Peer: netip.MustParseAddrPort("[2001:db8::1]:1")}, // the socket is of IPv4
		{Peer: good.Peer, Local: netip.MustParseAddr("192.0.2.1")},
	}
	q.Send([]byte("first"), good)
	for _, p := range bad {
		q.Send([]byte("bad"), p)
	}
	q.Send([]byte("last"), good)
	run(t, s, echo)
	for _, want := range []string{"first", "last"} {
		if got := receive(t, c); got != want {
			t.Errorf("got %q, wanted %q", got, want)
		}
	}
	s.Stop()
	if got := sum(s); got.Sent != 2 || got.Failed != uint64(len(bad)) {
		t.Errorf("counted %+v, wanted 2 sent and %d failed", got, len(bad))
	}
}

// TestCut sends what is longer than is read: it is dropped as a whole.
func TestCut(t *testing.T) {
	got := newArrivals()
	s := listen(t, Config{Address: "127.0.0.1:0"}, got.handle)
	c := peer(t, "", s.Addr())
	send(t, c, append(record(23, 1, 0), make([]byte, MaxDatagram)...))
	send(t, c, append(record(23, 1, 0), make([]byte, MaxDatagram-60)...))
	if a := got.next(t); len(a.text) != MaxDatagram {
		t.Errorf("%d bytes came", len(a.text))
	}
	if got := sum(s); got.Cut != 1 {
		t.Errorf("counted %+v, wanted one cut", got)
	}
}

// TestKernelCounters lets the system's buffer overflow while nobody reads.
func TestKernelCounters(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.queues[0].conn.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if s.Counters()[0].Room == 0 {
		t.Skip("the system does not tell")
	}
	c := peer(t, "", s.Addr())
	for range 200 {
		send(t, c, make([]byte, 500))
	}
	got := s.Counters()[0]
	if got.Lost == 0 || got.Lost >= 200 || got.Waiting == 0 || got.Waiting > 4*got.Room {
		t.Errorf("counted %+v of 200 datagrams of 500 bytes", got)
	}
}

// TestStop ends a run in the middle of traffic, and runs again.
func TestStop(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Queues: 2})
	if err != nil {
		t.Fatal(err)
	}
	c := peer(t, "", s.Addr())
	for round := range 3 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(echo)
		}()
		send(t, c, record(23, 1, byte(round)))
		receive(t, c)
		s.Stop()
		s.Stop() // a second does nothing
		<-done
		q := s.Queues()[0]
		q.Send([]byte("waits"), Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort()})
		send(t, c, record(23, 1, 99))
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 100)); err == nil {
			t.Fatalf("%d bytes came from sockets that nobody serves", n)
		}
		go s.Run(echo)
		got := map[string]bool{receive(t, c): true, receive(t, c): true}
		if !got["waits"] || !got[string(record(23, 1, 99))] {
			t.Errorf("after the pause came %v", got)
		}
		s.Stop()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	s.Run(echo) // returns
	s.Stop()
}

// TestCloseSends closes while something waits and nobody runs: it leaves all the same.
func TestCloseSends(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	c := peer(t, "", s.Addr())
	for _, q := range s.Queues() {
		q.Send([]byte("bye"), Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort()})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range s.Queues() {
		if got := receive(t, c); got != "bye" {
			t.Errorf("got %q", got)
		}
	}
}

// TestSendAllocates counts what a datagram costs the garbage collector on its way out: nothing, once the memory is there.
func TestSendAllocates(t *testing.T) {
	s, err := Listen(Config{Address: "0.0.0.0:0", Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := peer(t, "", at("127.0.0.1", s.Addr()))
	q, b := s.Queues()[0], make([]byte, 200)
	to := Path{Peer: c.LocalAddr().(*net.UDPAddr).AddrPort(), Local: netip.MustParseAddr("127.0.0.1")}
	least := 1e9
	for range 5 { // the runtime's own count otherwise
		least = min(least, testing.AllocsPerRun(50, func() {
			for range batchSize {
				q.Send(b, to)
			}
			<-q.wake
			q.drain()
		}))
	}
	if least > 0 {
		t.Errorf("%v allocations for %d datagrams", least, batchSize)
	}
}
