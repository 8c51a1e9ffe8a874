package udp

import (
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFallback binds where the system refuses the filter, and where none is wanted: one socket does everything.
func TestFallback(t *testing.T) {
	refused := func(uintptr, int) error { return syscall.EPERM }
	for name, cfg := range map[string]Config{
		"plain": {Plain: true}, "no filter": {attach: refused}, "no filter, several queues": {attach: refused, Queues: 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Address = "127.0.0.1:0"
			s := listen(t, cfg, echo)
			if s.Steered() || len(s.Queues()) != 1 {
				t.Fatalf("steered: %v, %d queues; wanted one socket", s.Steered(), len(s.Queues()))
			}
			if err := s.Refused(); cfg.Plain != (err == nil) || !cfg.Plain && !errors.Is(err, syscall.EPERM) {
				t.Errorf("the reason is %v", err)
			}
			c := peer(t, "", s.Addr())
			for _, b := range [][]byte{record(22, 0, 1), record(23, 1, 0)} {
				send(t, c, b)
				if got := receive(t, c); got != string(b) {
					t.Errorf("echo of %d bytes, wanted %d", len(got), len(b))
				}
			}
		})
	}
}

// TestAddressInUse binds where somebody else is: a second gateway must not share the port in silence, whichever way each is
// bound.
func TestAddressInUse(t *testing.T) {
	ways := map[string]Config{"steered": {}, "plain": {Plain: true}}
	for first, a := range ways {
		for second, b := range ways {
			t.Run(first+" then "+second, func(t *testing.T) {
				a.Address = "127.0.0.1:0"
				s := listen(t, a, echo)
				b.Address = s.Addr().String()
				other, err := Listen(b)
				if err == nil {
					_ = other.Close()
				}
				if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), b.Address) {
					t.Errorf("a second listener: %v; wanted: address in use, and which", err)
				}
			})
		}
	}
}

// TestAddresses binds to what an operator may write, and sees which families are heard.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		address string
		hears   []string
		deaf    string
	}{
		{"127.0.0.1:0", []string{"127.0.0.1"}, ""},
		{"[::1]:0", []string{"::1"}, ""},
		{":0", []string{"127.0.0.1", "::1"}, ""},
		{"[::]:0", []string{"127.0.0.1", "::1"}, ""},
		{"0.0.0.0:0", []string{"127.0.0.1"}, "::1"},
		{"localhost:0", []string{"127.0.0.1"}, ""},
	} {
		t.Run(tt.address, func(t *testing.T) {
			hears := here(t, tt.hears...)
			if len(hears) == 0 {
				t.Skip("no such address here")
			}
			s := listen(t, Config{Address: tt.address, Queues: 2}, echo)
			for _, to := range hears {
				c := peer(t, "", at(to, s.Addr()))
				send(t, c, []byte(to))
				if got := receive(t, c); got != to {
					t.Errorf("echo %q, wanted %q", got, to)
				}
			}
			if tt.deaf == "" || len(here(t, tt.deaf)) == 0 {
				return
			}
			c := peer(t, "", at(tt.deaf, s.Addr()))
			send(t, c, []byte("x"))
			if _, err := c.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("from %s: %v, wanted: refused", tt.deaf, err)
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "127.0.0.1:x", "192.0.2.1:0", "[::1"} {
		if s, err := Listen(Config{Address: address}); err == nil {
			t.Errorf("%s: bound to %v", address, s.Addr())
			_ = s.Close()
		} else if !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v does not name the address", address, err)
		}
	}
}

// TestAnswersFromTheAddressAsked asks several addresses of a listener for all: a connected socket hears only its peer's.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs every address of 127.0.0.0/8")
	}
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		for _, plain := range []bool{false, true} {
			got := newArrivals()
			s := listen(t, Config{Address: address, Plain: plain, Queues: 2}, func(q *Queue, b []byte, from Path) {
				got.handle(q, b, from)
				q.Send(b, from)
			})
			asked := []string{"127.0.0.1", "127.0.0.2", "127.200.1.9"}
			if address != "0.0.0.0:0" {
				asked = append(asked, here(t, "::1")...)
			}
			for _, to := range asked {
				local := ""
				if to == "127.0.0.2" {
					local = "127.0.0.3:0"
				}
				c := peer(t, local, at(to, s.Addr()))
				send(t, c, record(23, 1, 0))
				receive(t, c)
				a := got.next(t)
				if a.from.Local.String() != to || a.from.Peer.String() != c.LocalAddr().String() {
					t.Errorf("on %s: came by %+v, wanted from %v to %s", address, a.from, c.LocalAddr(), to)
				}
			}
		}
	}
}

// TestLocalOnlyWhereNeeded: sockets bound to one address need no help to answer from it.
func TestLocalOnlyWhereNeeded(t *testing.T) {
	got := newArrivals()
	s := listen(t, Config{Address: "127.0.0.1:0"}, got.handle)
	c := peer(t, "", s.Addr())
	send(t, c, []byte("x"))
	if a := got.next(t); a.from.Local.IsValid() {
		t.Errorf("local address %v", a.from.Local)
	}
}

// TestFiles hands the sockets on as another process would get them: what waits in the kernel is not lost, flows keep their
// queues, and the first owner's end does not hurt.
func TestFiles(t *testing.T) {
	seen := newArrivals()
	old, err := Listen(Config{Address: ":0", Queues: 3})
	if err != nil {
		t.Fatal(err)
	}
	run(t, old, seen.handle)
	to := at("127.0.0.1", old.Addr())
	conns := make([]*net.UDPConn, 20)
	before := make([]int, len(conns))
	for i := range conns {
		conns[i] = peer(t, "", to)
		send(t, conns[i], record(23, 1, 0))
		before[i] = seen.next(t).queue
	}
	old.Stop()
	files, err := old.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		send(t, c, record(23, 1, 1))
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := FromFiles(files, Config{})
	for _, f := range files {
		_ = f.Close() // duplicates
	}
	if err != nil {
		t.Fatal(err)
	}
	later := newArrivals()
	run(t, s, func(q *Queue, b []byte, from Path) {
		later.handle(q, b, from)
		q.Send(b, from)
	})
	if s.Steered() != old.Steered() || s.Addr().String() != old.Addr().String() {
		t.Errorf("taken over: steered %v at %v; was %v at %v", s.Steered(), s.Addr(), old.Steered(), old.Addr())
	}
	for i, c := range conns {
		if got := receive(t, c); got != string(record(23, 1, 1)) {
			t.Errorf("peer %d got %q", i, got)
		}
		a := later.next(t)
		n := slices.IndexFunc(conns, func(c *net.UDPConn) bool { return c.LocalAddr().String() == a.from.Peer.String() })
		if a.queue != before[n] || !a.from.Local.IsValid() {
			t.Errorf("peer %d was in queue %d, is in %d, by %v", n, before[n], a.queue, a.from)
		}
	}
}

func TestFromFilesErrors(t *testing.T) {
	if _, err := FromFiles(nil, Config{}); err == nil {
		t.Error("no files: no error")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := FromFiles([]*os.File{f}, Config{}); err == nil {
		t.Error("a file that is no socket: no error")
	}
}
