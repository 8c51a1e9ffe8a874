package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/store"
)

// TestTwice runs two gateways in one process: nothing in them is global.
func TestTwice(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	first := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	second := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	first.awaitUplink(t, true)
	second.awaitUplink(t, true)
	a, b := connect(t, pki, "client1", first.Addrs()[0]), connect(t, pki, "client1", second.Addrs()[1])
	a.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	b.must(t, dots.CodeNotFound, get(1))
	if err := first.stop(); err != nil {
		t.Errorf("stopping the first: %v", err)
	}
	b.must(t, dots.CodeCreated, put(1, 300, "192.0.2.2/32"))
}

// TestRestart holds that a restart keeps mitigations, and uses no upstream mid again.
func TestRestart(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	c.must(t, dots.CodeCreated, put(2, -1, "192.0.2.2/32"))
	c.must(t, dots.CodeCreated, put(3, 300, "192.0.2.3/32"))
	c.must(t, dots.CodeDeleted, remove(3))
	used := map[uint32]string{}
	for _, s := range up.seen() {
		if s.asks() {
			used[s.mid] = s.target.Prefixes[0].String()
		}
	}
	if err := gw.stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.session.Done():
	case <-t.Context().Done():
	}
	if err := c.session.Err(); !errors.Is(err, coap.ErrClosedByPeer) {
		t.Errorf("the client's session ended by %v, want a goodbye", err)
	}

	gw = startGateway(t, file)
	gw.awaitUplink(t, true)
	c = connect(t, pki, "client1", gw.Addrs()[0])
	first := c.must(t, dots.CodeContent, get(1)).Reports[0]
	if first.Status != dots.StatusInProgress || first.Lifetime < 250 || first.Lifetime > 300 || first.Target.Prefixes[0].String() != "192.0.2.1/32" {
		t.Errorf("after the restart: %+v", first)
	}
	if r := c.must(t, dots.CodeContent, get(2)).Reports[0]; r.Lifetime != dots.Indefinite {
		t.Errorf("after the restart: lifetime %d, want an indefinite one", r.Lifetime)
	}
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	c.must(t, dots.CodeCreated, put(4, 300, "192.0.2.4/32"))
	if s := lastPut(t, up); used[s.mid] != "" {
		t.Errorf("upstream mid %d stood for %s and is used again for %v", s.mid, used[s.mid], s.target.Prefixes)
	}
	up.await(t, "what stands", func() bool { return len(up.names()) == 3 })
}

// TestUplinkDown holds that a request is kept while nobody is there to ask, and placed when somebody is.
func TestUplinkDown(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	address := freeAddress(t)
	gw := startGateway(t, writeGatewayFile(t, pki, address, config.TransportDTLS, ""))
	gw.awaitUplink(t, false)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	if s, err := c.statusOf(t.Context(), 1); s != dots.StatusInProgress || err != nil {
		t.Errorf("held with status %v, %v; want in progress", s, err)
	}
	c.must(t, dots.CodeCreated, put(2, 300, "192.0.2.2/32"))
	c.must(t, dots.CodeDeleted, remove(2))
	up := startUpstream(t, pki, coap.NetworkUDP, address)
	up.await(t, "what was held", func() bool { return len(up.prefixes()) == 1 && up.prefixes()[0].String() == "192.0.2.1/32" })
	gw.awaitUplink(t, true)
	// A session that ends is made anew, and what is wanted stands on.
	up.hangUp()
	gw.awaitUplink(t, true)
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
}

// TestRefuseWhenDown holds that when_down: refuse tells the client at once.
func TestRefuseWhenDown(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	file := writeGatewayFile(t, pki, freeAddress(t), config.TransportDTLS, "")
	change(t, file, "mitigation: {", "mitigation: {when_down: refuse, ")
	gw := startGateway(t, file)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	resp := c.must(t, dots.CodeUnavailable, put(1, 300, "192.0.2.1/32"))
	if !resp.MaxAge.Set {
		t.Error("5.03 without a Max-Age")
	}
	c.must(t, dots.CodeNotFound, get(1))
}

// change changes a text of a file.
func change(t *testing.T, file, old, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStopOrder holds that the parts end in the order of stop's comment, and that a stop leaves neither address nor file.
func TestStopOrder(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	for _, transport := range []string{"dtls", "tls"} { // a port that the system chose is one that it may give to another test meanwhile
		change(t, file, `"127.0.0.1:0", transport: `+transport, fmt.Sprintf("%q, transport: %s", freeAddress(t), transport))
	}
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[1])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	if err := gw.stop(); err != nil {
		t.Fatal(err)
	}
	gw.log.order(t, "gateway started", "part=listeners", `part="server half"`, "part=core", "part=uplinks", "part=dialers",
		`part="metrics and admin"`, "gateway stopped")
	for _, a := range gw.Addrs() {
		if err := takeAddress(t, a); err != nil {
			t.Errorf("%s is still taken: %v", a, err)
		}
	}
	if _, err := os.Lstat(gw.cfg.Admin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left: %v", err)
	}
	for _, s := range up.seen() {
		if s.removes() {
			t.Error("a stop withdrew a mitigation")
		}
	}
}

func takeAddress(t *testing.T, a net.Addr) error {
	t.Helper()
	var l net.ListenConfig
	if networkOf(a) == coap.NetworkTCP {
		c, err := l.Listen(t.Context(), "tcp", a.String())
		if err != nil {
			return err
		}
		return c.Close()
	}
	c, err := l.ListenPacket(t.Context(), "udp", a.String())
	if err != nil {
		return err
	}
	return c.Close()
}

// TestBuildFailures holds that what Build cannot have it says, and that it gives back what it had.
func TestBuildFailures(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // it was only to be in the way
	for _, tt := range []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"address taken", func(c *config.Config) { c.Listeners[1].Address = taken.Addr().String() }, "listening on " + taken.Addr().String() + " (tls)"},
		{"metrics taken", func(c *config.Config) { c.Metrics = taken.Addr().String() }, "listening for metrics"},
		{"no folder for the store", func(c *config.Config) { c.Store = filepath.Join(c.Store, "deeper", "db") }, "opening the store"},
		{"socket is a folder", func(c *config.Config) { c.Admin = filepath.Dir(c.Store) }, "is no socket"},
		{"certificate gone", func(c *config.Config) { c.Credentials.Cert += "x" }, "no such file"},
		{"uplink's certificate gone", func(c *config.Config) { c.Uplinks[0].Credentials.Cert += "x" }, "uplink upstream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.Load(writeGatewayFile(t, pki, "127.0.0.1:9", config.TransportDTLS, ""))
			if err != nil {
				t.Fatal(err)
			}
			good := *cfg
			good.Listeners = append([]config.Listener(nil), cfg.Listeners...)
			good.Uplinks = append([]config.Uplink(nil), cfg.Uplinks...)
			tt.change(cfg)
			if _, err := Build(t.Context(), cfg, slog.New(slog.DiscardHandler), "test"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("built with %v, want %q", err, tt.want)
			}
			// Everything is free again.
			a, err := Build(t.Context(), &good, slog.New(slog.DiscardHandler), "test")
			if err != nil {
				t.Fatalf("building again: %v", err)
			}
			if _, err := Build(t.Context(), &good, slog.New(slog.DiscardHandler), "test"); !errors.Is(err, store.ErrLocked) {
				t.Errorf("building on a store in use: %v", err)
			}
			if err := a.Close(); err != nil {
				t.Errorf("closing what was never run: %v", err)
			}
		})
	}
}

// TestOperator looks in as an operator does.
func TestOperator(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkTCP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportTLS, ""))
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	request := put(1, 300, "192.0.2.1/32")
	request.Mitigation.Target.Ports = []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 8000, Upper: 8080}}
	request.Mitigation.Target.Protocols = []uint8{6}
	began := time.Now()
	c.must(t, dots.CodeCreated, request)
	eventually(t, "the time of the uplink's report is shown", func() error {
		shown, err := gw.operator().Mitigations(t.Context(), admin.Filter{})
		if err != nil || len(shown) != 1 || len(shown[0].Legs) != 1 {
			return fmt.Errorf("mitigations: %+v, %w", shown, err)
		}
		if heard := shown[0].Legs[0].Heard; heard.Before(began) || heard.After(time.Now()) {
			return fmt.Errorf("heard at %v", heard)
		}
		return nil
	})

	mitigations, err := gw.operator().Mitigations(t.Context(), admin.Filter{Client: "client1"})
	if err != nil || len(mitigations) != 1 {
		t.Fatalf("mitigations: %+v, %v", mitigations, err)
	}
	m := mitigations[0]
	if got := strings.Join(m.Targets, " "); got != "192.0.2.1/32 port:80 port:8000-8080 protocol:6" {
		t.Errorf("targets %q", got)
	}
	if m.CUID != c.cuid || m.MID != 1 || m.Domain != "lab" || m.Lifetime < 250 || len(m.Legs) != 1 || m.Legs[0].State != "placed" {
		t.Errorf("mitigation: %+v", m)
	}
	sessions, err := gw.operator().Sessions(t.Context(), admin.Filter{})
	if err != nil || len(sessions) != 1 || sessions[0].Client != "client1" || sessions[0].Transport != "dtls" || sessions[0].Profile != "rfc9132" {
		t.Errorf("sessions: %+v, %v", sessions, err)
	}
	uplinks, err := gw.operator().Uplinks(t.Context(), admin.Filter{})
	if err != nil || len(uplinks) != 1 || !uplinks[0].Up || uplinks[0].Transport != "tls" || uplinks[0].Legs["placed"] != 1 {
		t.Errorf("uplinks: %+v, %v", uplinks, err)
	}
	eventually(t, "the metrics tell it", func() error {
		page, code := fetch(t, gw, "/metrics")
		for _, line := range []string{
			`dotsgate_sessions{side="downstream",transport="dtls"} 1`, `dotsgate_sessions{side="uplink",transport="tls"} 1`,
			`dotsgate_sessions{side="uplink",transport="dtls"} 0`, `dotsgate_uplink_up{uplink="upstream"} 1`,
			`dotsgate_legs{state="placed",uplink="upstream"} 1`, `dotsgate_mitigations{status="in-progress"} 1`,
			`dotsgate_requests_total{code="2.01",method="put",side="downstream"} 1`,
		} {
			if !strings.Contains(page, line) {
				return fmt.Errorf("%d without %s", code, line)
			}
		}
		if _, age, ok := strings.Cut(page, `dotsgate_oldest_report_seconds{uplink="upstream"} `); !ok || strings.HasPrefix(age, "0\n") {
			return errors.New("nobody tells how old the uplink's report is")
		}
		return nil
	})
}

// TestReady holds that readyz tells of an uplink and of the store.
func TestReady(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	if page, code := fetch(t, gw, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d %s", code, page)
	}
	gw.health.committed(store.ErrFull)
	if page, code := fetch(t, gw, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(page, "store is full") {
		t.Errorf("readyz with a full store: %d %s", code, page)
	}
	gw.health.committed(nil)
	up.stop()
	gw.awaitUplink(t, false)
	if page, code := fetch(t, gw, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(page, "no uplink has a session") {
		t.Errorf("readyz without an uplink: %d %s", code, page)
	}
	if _, code := fetch(t, gw, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
}

// fetch gets a page of the metrics server.
func fetch(t *testing.T, gw *testGateway, path string) (page string, code int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gw.web.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.StatusCode
}

// TestPartFails holds that the failure of a part stops the gateway and is told.
func TestPartFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	failed := make(chan error, 1)
	a := &App{log: slog.New(slog.DiscardHandler)}
	waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	r := start(stage{"some part", []func(context.Context) error{waits, func(context.Context) error { return broken }}}, failed)
	if err := <-failed; !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "some part: ") {
		t.Errorf("told %v", err)
	}
	if err := a.halt(t.Context(), r); err != nil {
		t.Errorf("ending the rest: %v", err)
	}
	if len(failed) != 0 {
		t.Errorf("an orderly end is told as a failure: %v", <-failed)
	}
}

// TestEndIsGivenUp holds that a part that does not end is named, and not waited for.
func TestEndIsGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	a := &App{log: slog.New(slog.DiscardHandler)}
	r := start(stage{"deaf part", []func(context.Context) error{func(context.Context) error { <-release; return nil }}}, make(chan error, 1))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.halt(over, r); err == nil || !strings.Contains(err.Error(), "deaf part did not end") {
		t.Errorf("ended with %v", err)
	}
	close(release)
	r.wait.Wait()
}
