package bgp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/upstream"
)

// TestOurRestart: what an earlier run announced is claimed by whoever wants it, and what nobody wants goes when it is stopped.
func TestOurRestart(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		first := opened(t, config(d))
		start(t, first, leg(1, "192.0.2.1/32", "192.0.2.2/32"))
		_ = first.Close()
		wantRoutes(t, d, "192.0.2.1/32", "192.0.2.2/32")

		second := made(t, config(d))
		reopen(t, second, "route 192.0.2.1/32", "route 192.0.2.2/32")
		start(t, second, leg(7, "192.0.2.1/32"))
		for _, name := range []string{"route 192.0.2.1/32", "route 192.0.2.2/32", "route 192.0.2.2/32"} {
			stop(t, second, dots.LegKey{Uplink: "rtbh", CUID: name})
		}
		wantRoutes(t, d, "192.0.2.1/32", "192.0.2.2/32")
		wantStatus(t, second, map[uint32]dots.Status{7: dots.StatusMitigated}, 7)
		wantRoutes(t, d, "192.0.2.1/32")
		stop(t, second, key(7))
		wantRoutes(t, d)
	})
}

// TestStopBeforeStart: after a restart the order of the two is not ours, and a route that is wanted must not go and come back.
func TestStopBeforeStart(t *testing.T) {
	d := newDaemon(t, APIv4)
	first := opened(t, config(d))
	start(t, first, leg(1, "192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"))
	_ = first.Close()
	m := made(t, config(d))
	reopen(t, m, "route 192.0.2.1/32", "route 192.0.2.2/32", "route 192.0.2.3/32")
	start(t, m, leg(1, "192.0.2.1/32"))
	stop(t, m, dots.LegKey{Uplink: "rtbh", CUID: "route 192.0.2.2/32"})
	stop(t, m, dots.LegKey{Uplink: "rtbh", CUID: "route 192.0.2.3/32"})
	start(t, m, leg(2, "192.0.2.2/32"))
	wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated, 2: dots.StatusMitigated}, 1, 2)
	if n := d.did("withdraw"); n != 1 {
		t.Errorf("%d routes withdrawn, want only the one that nobody wants", n)
	}
	wantRoutes(t, d, "192.0.2.1/32", "192.0.2.2/32")
}

// TestStaleRoutesGoWithTheLastLeg: there is no Status of nothing to wait for, and what fails is done by the next attempt.
func TestStaleRoutesGoWithTheLastLeg(t *testing.T) {
	d := newDaemon(t, APIv4)
	first := opened(t, config(d))
	start(t, first, leg(1, "192.0.2.1/32", "192.0.2.2/32"))
	_ = first.Close()
	m := made(t, config(d))
	reopen(t, m, "route 192.0.2.1/32", "route 192.0.2.2/32")
	start(t, m, leg(1, "192.0.2.1/32"))
	stop(t, m, dots.LegKey{Uplink: "rtbh", CUID: "route 192.0.2.2/32"})
	n := 0
	d.set(func() {
		d.fail = func(what string) error {
			if what == "withdraw" {
				if n++; n == 2 {
					return status.Error(codes.Unknown, "no")
				}
			}
			return nil
		}
	})
	if err := m.Stop(context.Background(), key(1)); err == nil {
		t.Error("no error of the second withdrawal")
	}
	wantRoutes(t, d, "192.0.2.2/32")
	stop(t, m, key(1))
	wantRoutes(t, d)
}

// TestClaimOfAStaleRouteRenewsIt: its attributes may be those of another configuration. And a claim whose announcement is refused
// does not lose the route from sight.
func TestClaimOfAStaleRouteRenewsIt(t *testing.T) {
	d := newDaemon(t, APIv4)
	old := config(d)
	old.Communities = []string{"64500:1"}
	first := opened(t, old)
	start(t, first, leg(1, "192.0.2.1/32"))
	_ = first.Close()
	second := made(t, config(d))
	reopen(t, second, "route 192.0.2.1/32")
	d.set(func() { d.fail = refuse("announce", codes.Unknown) })
	if err := second.Start(context.Background(), leg(2, "192.0.2.1/32")); err == nil || errors.Is(err, upstream.ErrGone) {
		t.Errorf("got %v, want an ordinary error", err)
	}
	d.set(func() { d.fail = nil })
	start(t, second, leg(2, "192.0.2.1/32"))
	got := d.routes[second.table.of(key(2))[0].path.id()]
	if !slices.ContainsFunc(got.attrs, func(a []byte) bool { return bytes.Equal(a, []byte{0xc0, 8, 4, 0xff, 0xff, 0x02, 0x9a}) }) {
		t.Errorf("attributes %x have no blackhole community", got.attrs)
	}
	_ = second.Close()

	third := made(t, config(d))
	reopen(t, third, "route 192.0.2.1/32")
	d.set(func() { d.fail = refuse("announce", codes.Unknown) })
	_ = third.Start(context.Background(), leg(3, "192.0.2.1/32"))
	d.set(func() { d.fail = nil })
	stop(t, third, key(3))
	wantRoutes(t, d)
}

// TestRestartOfGobgpd: its end is told as gone, and after another Open nothing of before is taken to be there.
func TestRestartOfGobgpd(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.1/32"))
		d.restart()
		for _, err := range []error{
			m.Start(context.Background(), leg(2, "192.0.2.2/32")),
			m.Stop(context.Background(), key(1)),
			second(m.Status(context.Background(), []dots.LegKey{key(1)})),
			second(m.Status(context.Background(), nil)),
		} {
			if !errors.Is(err, upstream.ErrGone) {
				t.Errorf("got %v, want gone", err)
			}
		}
		wantRoutes(t, d) // no connection is made behind our back
		reopen(t, m)
		start(t, m, leg(1, "192.0.2.1/32"))
		wantRoutes(t, d, "192.0.2.1/32")
		wantStatus(t, m, map[uint32]dots.Status{1: dots.StatusMitigated}, 1)
	})
}

func second[T any](_ T, err error) error { return err }

// TestConnectionLost: gobgpd has lived on, and Open finds the legs by their own keys, so that nothing flaps.
func TestConnectionLost(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.1/32", "192.0.2.2/32"))
		start(t, m, leg(2, "192.0.2.3/32"))
		d.set(func() {
			delete(d.routes, m.table.of(key(1))[0].path.id())
			delete(d.routes, m.table.of(key(2))[0].path.id())
			d.calls = nil
		})
		reopen(t, m, "1") // part of it is there, so that it must be possible to stop it
		start(t, m, leg(1, "192.0.2.1/32", "192.0.2.2/32"))
		if n := d.did("announce"); n != 1 {
			t.Errorf("announced %d routes, want the one that was lost", n)
		}
		stop(t, m, key(1))
		stop(t, m, key(2))
		wantRoutes(t, d)
	})
}

// TestOthersRoutes: what others announce, another mitigator of ours and what peers send back, is not ours.
func TestOthersRoutes(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		other := config(d)
		other.Name = "other"
		o := made(t, other)
		if _, err := o.Open(context.Background()); err != nil {
			t.Fatal(err)
		}
		start(t, o, leg(1, "192.0.2.1/32"))
		m := opened(t, config(d))
		start(t, m, leg(1, "192.0.2.2/32"))
		d.set(func() {
			for id, p := range d.routes {
				p.local = false
				d.routes[id] = p
			}
		})
		third := made(t, config(d))
		reopen(t, third)
	})
}

func TestOpenFails(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		m := made(t, config(d))
		for what, change := range map[string]func(){
			"no AS number": func() { d.as = 0 },
			"no tables":    func() { d.as, d.fail = 64500, refuse("list", codes.Unknown) },
			"no answer":    func() { d.fail = refuse("as", codes.Unavailable) },
		} {
			d.set(change)
			if keys, err := m.Open(context.Background()); err == nil {
				t.Errorf("%s: opened with %v", what, keys)
			}
			if err := m.Start(context.Background(), leg(1, "192.0.2.1/32")); !errors.Is(err, upstream.ErrGone) {
				t.Errorf("%s: started: %v", what, err)
			}
			d.set(func() { d.as, d.fail = 64500, nil })
			stop(t, made(t, config(d)), key(1)) // nothing to do needs no gobgpd
		}
		reopen(t, m)
	})
}

// TestWrongDialect: one that is asked for is the one that is spoken.
func TestWrongDialect(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		c := config(d)
		c.API = map[string]string{APIv3: APIv4, APIv4: APIv3}[d.api]
		if _, err := made(t, c).Open(context.Background()); !errors.Is(err, upstream.ErrGone) || !strings.Contains(err.Error(), "Unimplemented") {
			t.Errorf("got %v, want that the service is unknown", err)
		}
		c.API = d.api
		opened(t, c)
	})
}

// TestMissingFamilies: a gobgpd without flowspec serves blackholes.
func TestMissingFamilies(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		n := 0
		d.set(func() {
			d.fail = func(what string) error {
				if what == "list" {
					if n++; n > 2 {
						return status.Error(codes.Unknown, "address family not supported")
					}
				}
				return nil
			}
		})
		opened(t, config(d))
		c := config(d)
		c.Mode = ModeFlowspec
		if _, err := made(t, c).Open(context.Background()); err == nil {
			t.Error("flowspec without its families")
		}
	})
}

// TestModeChanged: routes of the other mode are found too, and go.
func TestModeChanged(t *testing.T) {
	d := newDaemon(t, APIv3)
	m := opened(t, config(d))
	start(t, m, leg(1, "192.0.2.1/32", "2001:db8::1/128"))
	_ = m.Close()
	c := config(d)
	c.Mode = ModeFlowspec
	again := made(t, c)
	reopen(t, again, "route 192.0.2.1/32", "route 2001:db8::1/128")
	stop(t, again, dots.LegKey{Uplink: "rtbh", CUID: "route 192.0.2.1/32"})
	stop(t, again, dots.LegKey{Uplink: "rtbh", CUID: "route 2001:db8::1/128"})
	wantRoutes(t, d)
}

// TestTLS: with it the API is protected, and a stranger's is not spoken to.
func TestTLS(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		ca := testpki.New(t, "ca")
		d.stop()
		d.options = []grpc.ServerOption{grpc.Creds(credentials.NewServerTLSFromCert(new(ca.Server().TLS())))}
		d.start()
		for name, c := range map[string]struct {
			tls *tls.Config
			ok  bool
		}{
			"trusted":  {&tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}, true},
			"stranger": {&tls.Config{RootCAs: testpki.New(t, "other").Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}, false},
			"plain":    {nil, false},
		} {
			config := config(d)
			config.TLS = c.tls
			if _, err := made(t, config).Open(context.Background()); (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestSilence: a gobgpd that takes connections and answers nothing is as good as gone, and costs no more than the time-out.
func TestSilence(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := good()
	c.Address, c.Timeout = l.Addr().String(), 50*time.Millisecond
	if _, err := made(t, c).Open(context.Background()); !errors.Is(err, upstream.ErrGone) {
		t.Errorf("got %v, want gone", err)
	}
}
