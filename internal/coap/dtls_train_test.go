package coap

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	sockets "github.com/dotsgate/dotsgate/internal/udp"
)

// carNumber is the n-th datagram of a test, of a length of its own for every third.
func carNumber(n int) []byte {
	b := fmt.Appendf(nil, "%04d datagram", n)
	if n%3 == 0 {
		b = append(b, " of another length"...)
	}
	return b
}

func TestTrainLetsDatagramsWait(t *testing.T) {
	var n memNet
	tap := &tapSocket{memSocket: n.socket(1)}
	_ = n.socket(2)
	train := newTrain(tap, memAddr(2), new(Counters))
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if err := train.send(carNumber(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, 1)
	if got := len(tap.sentSince(0)); got != 1 {
		t.Fatalf("%d datagrams are sent where nobody gathers, want 1", got)
	}
	train.gather()
	train.gather()
	send(1, 5)
	train.depart()
	if got := len(tap.sentSince(1)); got != 0 {
		t.Fatalf("%d datagrams are sent while somebody still gathers", got)
	}
	long := bytes.Repeat([]byte{1}, longestCar+1)
	if err := train.send(long); err != nil || len(tap.sentSince(1)) != 1 {
		t.Fatalf("a long datagram waits, or fails: %v", err)
	}
	train.depart()
	if got := tap.sentSince(2); len(got) != 4 {
		t.Fatalf("%d datagrams are sent in the end, want 4", len(got))
	}
	train.gather()
	send(5, 5+trainLength)
	if got := len(tap.sentSince(6)); got != trainLength {
		t.Fatalf("%d datagrams are sent when a train is full, want %d", got, trainLength)
	}
	train.depart()
	got := tap.sentSince(6)
	slices.SortFunc(got, bytes.Compare)
	for i, b := range got {
		if !bytes.Equal(b, carNumber(5+i)) {
			t.Errorf("datagram %d is %q", i, b)
		}
	}
}

// No datagram leaves later than the end of the session, whoever gathers.
func TestTrainEnds(t *testing.T) {
	var n memNet
	tap := &tapSocket{memSocket: n.socket(1)}
	_ = n.socket(2)
	train := newTrain(tap, memAddr(2), new(Counters))
	train.gather()
	_ = train.send([]byte("close_notify"))
	train.end()
	if got := len(tap.sentSince(0)); got != 1 {
		t.Fatalf("%d datagrams are sent at the end, want 1", got)
	}
	tap.fail = net.ErrClosed
	_ = train.send([]byte("late"))
	if err := train.leave(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending on a closed socket: %v, want net.ErrClosed", err)
	}
}

// systemPair are two sockets of the system; the first sends to the second.
func systemPair(t *testing.T) (from, to *net.UDPConn) {
	t.Helper()
	var pair [2]*net.UDPConn
	for i := range pair {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		pair[i] = c
	}
	return pair[0], pair[1]
}

// Datagrams that leave together arrive as they were, each by itself.
func TestTrainOverTheSystem(t *testing.T) {
	from, to := systemPair(t)
	train := newTrain(from, to.LocalAddr().(*net.UDPAddr), new(Counters))
	train.gather()
	for i := range trainLength - 1 {
		if err := train.send(carNumber(i)); err != nil {
			t.Fatal(err)
		}
	}
	train.depart()
	var got [][]byte
	_ = to.SetReadDeadline(time.Now().Add(10 * time.Second)) // a lost one must not hang the test
	reader := sockets.NewReader(to, new(sockets.Rooms))
	for len(got) < trainLength-1 {
		if err := reader.Read(func(b []byte, _ netip.AddrPort) { got = append(got, bytes.Clone(b)) }); err != nil {
			t.Fatalf("after %d datagrams: %v", len(got), err)
		}
	}
	slices.SortFunc(got, bytes.Compare)
	for i, b := range got {
		if !bytes.Equal(b, carNumber(i)) {
			t.Errorf("datagram %d is %q", i, b)
		}
	}
}
