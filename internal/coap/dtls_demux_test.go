package coap

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func helloDatagram() []byte {
	hello := make([]byte, recordHeader+handshakeHeader+1)
	hello[0], hello[1], hello[2], hello[12] = recordTypeHello, 0xfe, 0xfd, handshakeHeader+1
	hello[recordHeader] = helloMessageType
	return hello
}

func TestDemuxOpensForHelloOnly(t *testing.T) {
	d := newDTLSDemux((&memNet{}).socket(1), new(Counters))
	d.route([]byte("junk"), memAddr(2))
	if d.known() != 0 {
		t.Fatal("junk opened an association")
	}
	d.route(helloDatagram(), memAddr(2))
	d.route(helloDatagram(), memAddr(2))
	d.route(helloDatagram(), &net.UDPAddr{IP: memAddr(2).IP.To16(), Port: 2}) // the same address in its other form
	if d.known() != 1 || len(d.incoming) != 1 {
		t.Fatalf("%d associations, %d to accept, want 1 and 1", d.known(), len(d.incoming))
	}
	d.route(helloDatagram(), &net.TCPAddr{})
	d.stopAccepting()
	d.route(helloDatagram(), memAddr(3))
	if d.known() != 1 {
		t.Error("an association was opened after the stop")
	}
	a := <-d.incoming
	if got := len(a.in); got != 3 {
		t.Errorf("%d datagrams for the association, want 3", got)
	}
	dtlsIncoming{a}.discard()
	if d.known() != 0 {
		t.Error("the discarded association is still known")
	}
}

func TestDemuxBounds(t *testing.T) {
	d := newDTLSDemux((&memNet{}).socket(1), new(Counters))
	for port := range maxUnaccepted + 10 {
		d.route(helloDatagram(), memAddr(port+1))
	}
	if got := d.known(); got != maxUnaccepted {
		t.Errorf("%d associations, want %d", got, maxUnaccepted)
	}
	a, b := <-d.incoming, <-d.incoming
	for range 2 * maxQueuedDatagrams {
		a.deliver(helloDatagram(), a.remote)
	}
	if got := len(a.in); got != maxQueuedDatagrams {
		t.Errorf("%d datagrams queued, want %d", got, maxQueuedDatagrams)
	}
	big := make([]byte, maxDatagram)
	big[0], big[11], big[12] = recordTypeHello, (maxDatagram-recordHeader)>>8, (maxDatagram-recordHeader)&0xff
	for range maxQueuedDatagrams {
		b.deliver(big, b.remote)
	}
	if got := b.queued.Load(); got > maxQueuedBytes || got < maxQueuedBytes-maxDatagram {
		t.Errorf("%d bytes queued, want at most and about %d", got, maxQueuedBytes)
	}
}

func TestAssociationAsPacketConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDTLSDemux((&memNet{}).socket(1), new(Counters))
		d.route(helloDatagram(), memAddr(2))
		a := <-d.incoming
		buf := make([]byte, maxDatagram)
		if n, from, err := a.ReadFrom(buf); err != nil || n != len(helloDatagram()) || from.String() != memAddr(2).String() {
			t.Errorf("ReadFrom() = %d, %v, %v", n, from, err)
		}
		if got := a.queued.Load(); got != 0 {
			t.Errorf("%d bytes queued after the read", got)
		}
		start := time.Now()
		_ = a.SetDeadline(start.Add(time.Second))
		if _, _, err := a.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("ReadFrom() = %v after %v", err, time.Since(start))
		}
		if err := a.SetWriteDeadline(start); err != nil {
			t.Errorf("SetWriteDeadline() = %v", err)
		}
		cid := a.newCID()
		if len(cid) != cidLength || string(a.newCID()) != string(cid) || d.byCID[string(cid)] != a {
			t.Error("the connection ID is not stable and known")
		}
		_ = a.Close()
		_ = a.Close()
		if _, _, err := a.ReadFrom(buf); !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadFrom() = %v after Close", err)
		}
		if _, err := a.WriteTo(buf, a.remote); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo() = %v after Close", err)
		}
	})
}

// failingSocket fails a number of reads, then is closed.
type failingSocket struct {
	net.PacketConn
	failures int
	reads    []time.Duration
	start    time.Time
}

func (s *failingSocket) ReadFrom([]byte) (int, net.Addr, error) {
	s.reads = append(s.reads, time.Since(s.start))
	if len(s.reads) > s.failures {
		return 0, nil, net.ErrClosed
	}
	return 0, nil, syscall.ENOMEM
}

func TestDemuxWaitsOutErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failingSocket{failures: 3, start: time.Now()}
		newDTLSDemux(s, new(Counters)).run()
		want := []time.Duration{0, 5 * time.Millisecond, 15 * time.Millisecond, 35 * time.Millisecond}
		for i, at := range want {
			if s.reads[i] != at {
				t.Errorf("read %d at %v, want %v", i, s.reads[i], at)
			}
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadline()
		start := time.Now()
		wait := func(want time.Duration) {
			t.Helper()
			<-d.done()
			if got := time.Since(start); got != want {
				t.Errorf("passed at %v, want %v", got, want)
			}
		}
		d.set(start.Add(time.Second))
		wait(time.Second)
		wait(time.Second) // it stays passed
		d.set(start.Add(3 * time.Second))
		d.set(start.Add(2 * time.Second))
		wait(2 * time.Second)
		d.set(start) // in the past
		wait(2 * time.Second)
		d.set(time.Time{})
		if d.isOver() {
			t.Error("passed without a deadline")
		}
		d.set(start.Add(time.Hour))
		d.set(time.Time{})
		time.Sleep(2 * time.Hour)
		if d.isOver() {
			t.Error("a cleared deadline passed")
		}
	})
}
