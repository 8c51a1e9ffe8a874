package impair

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// virtual runs a test in a bubble with a network of its own.
func virtual(t *testing.T, f func(t *testing.T, n *Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, NewNetwork(1)) })
}

func listen(t *testing.T, n *Network, at string) *Socket {
	t.Helper()
	s, err := n.Listen(addr(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// read wants a datagram within an hour.
func read(t *testing.T, s *Socket) (string, net.Addr) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, from, err := s.ReadFrom(b)
	if err != nil {
		t.Fatalf("ReadFrom() = %v", err)
	}
	return string(b[:n]), from
}

// silent wants no datagram for a minute.
func silent(t *testing.T, s *Socket) {
	t.Helper()
	_ = s.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 2000)
	if n, _, err := s.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("ReadFrom() = %q, %v", b[:n], err)
	}
}

func write(t *testing.T, s *Socket, text, to string) {
	t.Helper()
	if n, err := s.WriteTo([]byte(text), net.UDPAddrFromAddrPort(addr(to))); err != nil || n != len(text) {
		t.Fatalf("WriteTo() = %d, %v", n, err)
	}
}

func TestSockets(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		a.Impair(Conditions{Delay: 20 * time.Millisecond}, Conditions{})
		b.Impair(Conditions{}, Conditions{Delay: 5 * time.Millisecond})
		begun := time.Now()
		write(t, a, "hello", "192.0.2.2:2")
		text, from := read(t, b)
		if text != "hello" || from.String() != "192.0.2.1:1" || time.Since(begun) != 25*time.Millisecond {
			t.Errorf("%q from %v after %v", text, from, time.Since(begun))
		}
		begun = time.Now()
		write(t, b, "back", "192.0.2.1:1")
		if text, _ := read(t, a); text != "back" || time.Since(begun) != 0 {
			t.Errorf("%q after %v", text, time.Since(begun))
		}
		if out, in := a.Out().Counts(), b.In().Counts(); out.Largest != 5 || in.Delivered != 1 || a.In().Counts().Largest != 4 {
			t.Errorf("counted %+v and %+v", out, in)
		}
	})
}

// TestOrder: what is sent at one moment arrives in its order.
func TestOrder(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		a.Impair(Conditions{Delay: time.Millisecond}, Conditions{})
		for i := range 100 {
			write(t, a, fmt.Sprint(i), "192.0.2.2:2")
		}
		for i := range 100 {
			if text, _ := read(t, b); text != fmt.Sprint(i) {
				t.Fatalf("%q at place %d", text, i)
			}
		}
	})
}

func TestBlackHole(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		b.Impair(Conditions{Dead: true}, Conditions{})
		write(t, b, "lost", "192.0.2.1:1")
		silent(t, a)
		write(t, a, "there", "192.0.2.2:2")
		if text, _ := read(t, b); text != "there" {
			t.Errorf("%q", text)
		}
	})
}

func TestMove(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		b.Impair(Conditions{Delay: time.Second}, Conditions{})
		write(t, b, "on its way", "192.0.2.1:1")
		if err := n.Move(a, addr("192.0.2.1:7")); err != nil {
			t.Fatal(err)
		}
		silent(t, a)
		if n.Strayed() != 1 {
			t.Errorf("%d strayed", n.Strayed())
		}
		write(t, a, "new", "192.0.2.2:2")
		if _, from := read(t, b); from.String() != "192.0.2.1:7" || a.LocalAddr().String() != "192.0.2.1:7" {
			t.Errorf("from %v, and it is at %v", from, a.LocalAddr())
		}
		write(t, b, "found", "192.0.2.1:7")
		if text, _ := read(t, a); text != "found" {
			t.Errorf("%q", text)
		}
		if err := n.Move(a, addr("192.0.2.2:2")); err == nil {
			t.Error("it took another's address")
		}
		_ = a.Close()
		if err := n.Move(a, addr("192.0.2.1:8")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("moving what is closed: %v", err)
		}
	})
}

func TestListen(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a := listen(t, n, "192.0.2.1:1")
		if _, err := n.Listen(addr("[::ffff:192.0.2.1]:1")); err == nil {
			t.Error("the address was given out twice")
		}
		_ = a.Close()
		if _, err := n.Listen(addr("192.0.2.1:1")); err != nil {
			t.Errorf("after Close: %v", err)
		}
		b, c := listen(t, n, "[2001:db8::1]:0"), listen(t, n, "[2001:db8::1]:0")
		if b.LocalAddr().String() != "[2001:db8::1]:49152" || c.LocalAddr().String() != "[2001:db8::1]:49153" {
			t.Errorf("they are at %v and %v", b.LocalAddr(), c.LocalAddr())
		}
	})
}

// TestSocketSeeds: a socket's fates are its address's, whoever listened first; the two ways differ.
func TestSocketSeeds(t *testing.T) {
	fates := func(w *Way) (lost string) {
		w.Set(Conditions{Loss: 0.5})
		for range 64 {
			lost += fmt.Sprint(len(w.Pass(epoch(), nil)))
		}
		return lost
	}
	virtual(t, func(t *testing.T, n *Network) {
		listen(t, n, "192.0.2.9:9")
		a, other := listen(t, n, "192.0.2.1:1"), NewNetwork(1)
		again := listen(t, other, "192.0.2.1:1")
		elsewhere := listen(t, NewNetwork(2), "192.0.2.1:1")
		want := fates(a.Out())
		if got := fates(again.Out()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if fates(a.In()) == want || fates(elsewhere.Out()) == want {
			t.Error("another way has the same fates")
		}
	})
}

func TestInjectAndOverflow(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a := listen(t, n, "192.0.2.1:1")
		n.Inject([]byte("forged"), addr("198.51.100.1:1"), addr("192.0.2.1:1"))
		if text, from := read(t, a); text != "forged" || from.String() != "198.51.100.1:1" {
			t.Errorf("%q from %v", text, from)
		}
		for range mostWaiting + 10 {
			n.Inject([]byte("x"), addr("198.51.100.1:1"), addr("192.0.2.1:1"))
		}
		synctest.Wait()
		if a.Overflow() != 10 {
			t.Errorf("%d overflowed", a.Overflow())
		}
	})
}

func TestDeadlines(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a := listen(t, n, "192.0.2.1:1")
		silent(t, a)
		silent(t, a) // it can be set again
		waiting := make(chan error, 1)
		_ = a.SetDeadline(time.Time{})
		go func() {
			_, _, err := a.ReadFrom(nil)
			waiting <- err
		}()
		synctest.Wait()
		_ = a.SetDeadline(time.Now().Add(time.Hour))
		_ = a.SetReadDeadline(time.Now()) // wakes who waits
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ReadFrom() = %v", err)
		}
		write(t, a, "self", "192.0.2.1:1")
		synctest.Wait()
		if _, _, err := a.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("past the deadline: %v", err)
		}
		if text, _ := read(t, a); text != "self" {
			t.Errorf("%q", text)
		}
	})
}

func TestClosedSocket(t *testing.T) {
	virtual(t, func(t *testing.T, n *Network) {
		a, b := listen(t, n, "192.0.2.1:1"), listen(t, n, "192.0.2.2:2")
		a.Impair(Conditions{Delay: time.Second}, Conditions{})
		waiting := make(chan error, 1)
		go func() {
			_, _, err := a.ReadFrom(nil)
			waiting <- err
		}()
		write(t, a, "last words", "192.0.2.2:2")
		synctest.Wait()
		_ = a.Close()
		_ = a.Close()
		if err := <-waiting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom() = %v", err)
		}
		if _, err := a.WriteTo(nil, b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo() = %v", err)
		}
		if text, _ := read(t, b); text != "last words" {
			t.Errorf("%q", text)
		}
		write(t, b, "too late", "192.0.2.1:1")
		synctest.Wait()
		if n.Strayed() != 1 {
			t.Errorf("%d strayed", n.Strayed())
		}
		if _, err := b.WriteTo(nil, &net.UnixAddr{Name: "nowhere"}); err == nil {
			t.Error("an address of another kind was taken")
		}
		if _, err := b.WriteTo(nil, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 1}); err != nil {
			t.Errorf("host and port in another type: %v", err)
		}
	})
}
