package lab

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/google/go-cmp/cmp"
)

// quick is a scenario that does not make a test wait.
func quick() Scenario {
	return Scenario{Steps: []Step{
		{Status: dots.StatusInProgress},
		{After: 30 * time.Millisecond, Status: dots.StatusMitigated, Rate: Rate{Bytes: 1_000_000, Packets: 1000}},
	}}
}

// answered checks an answer's code.
func answered(t *testing.T, what string, resp wire.Response, err error, want dots.Code) wire.Response {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if resp.Code != want {
		t.Fatalf("%s = %v %q, want %v", what, resp.Code, resp.Diagnostic, want)
	}
	return resp
}

// TestServerOverTransports plays a mitigation through in both dialects over both transports.
func TestServerOverTransports(t *testing.T) {
	r := newRig(t, ServerConfig{Scenario: quick(), Terminating: 30 * time.Millisecond, Remembered: 50 * time.Millisecond})
	mid := uint32(0)
	for _, transport := range []string{ctl.TransportDTLS, ctl.TransportTLS} {
		for _, profile := range []string{"rfc9132", "draft04"} {
			mid++
			t.Run(transport+" "+profile, func(t *testing.T) {
				r.t = t
				cfg := r.config("client1", transport)
				cfg.Profile = profile
				r.as(cfg, func(ctx context.Context, c *ctl.Conn) {
					playThrough(ctx, t, c, mid)
					eventually(ctx, t, c, func() bool { return r.Mitigations() == 0 }) // the older dialect's 4.04 comes before
				})
			})
		}
	}
}

// eventually waits until the server is as it is to be: a ping is a round trip to it, and as good as a pause.
func eventually(ctx context.Context, t *testing.T, c *ctl.Conn, is func() bool) {
	t.Helper()
	for {
		if err := c.Ping(ctx); err != nil {
			t.Fatalf("waiting for the server: %v", err)
		}
		if is() {
			return
		}
	}
}

func playThrough(ctx context.Context, t *testing.T, c *ctl.Conn, mid uint32) {
	one := dots.Some(mid)
	resp, err := c.Get(ctx, one)
	answered(t, "GET before", resp, err, dots.CodeNotFound)
	m := ask(mid, prefixes("192.0.2.7/32"))
	resp, err = c.Mitigate(ctx, m)
	resp = answered(t, "PUT", resp, err, dots.CodeCreated)
	if want := (wire.Granted{MID: mid, Lifetime: 3600}); resp.Granted != dots.Some(want) {
		t.Errorf("granted %+v", resp.Granted)
	}

	updates := make(chan wire.Response, 32)
	o, err := c.Observe(ctx, one, func(r wire.Response, err error) {
		if err != nil {
			t.Errorf("notification: %v", err)
		}
		updates <- r
	})
	if err != nil || !o.Active() {
		t.Fatalf("Observe() = %v, %v", o, err)
	}
	until(ctx, t, updates, dots.StatusMitigated)

	resp, err = c.Mitigate(ctx, m)
	answered(t, "refresh", resp, err, dots.CodeChanged)
	m.Attack = dots.AttackUnderAttack
	resp, err = c.Efficacy(ctx, m)
	answered(t, "efficacy", resp, err, dots.CodeChanged)
	resp, err = c.Get(ctx, dots.Maybe[uint32]{})
	resp = answered(t, "GET all", resp, err, dots.CodeContent)
	if len(resp.Reports) != 1 || !resp.Reports[0].Target.Equal(m.Target) || resp.Reports[0].MID != mid {
		t.Errorf("GET all = %+v", resp.Reports)
	}

	resp, err = c.Withdraw(ctx, mid)
	answered(t, "DELETE", resp, err, dots.CodeDeleted)
	until(ctx, t, updates, dots.StatusClientWithdrawn)
	for end := (wire.Response{}); end.Code != dots.CodeNotFound; {
		select {
		case end = <-updates:
		case <-ctx.Done():
			t.Fatal("the observation is not ended by 4.04")
		}
	}
	if o.Active() {
		t.Error("the observation is active after 4.04")
	}
	resp, err = c.Withdraw(ctx, mid)
	answered(t, "DELETE of nothing", resp, err, dots.CodeDeleted)
}

// until waits for a status in the notifications.
func until(ctx context.Context, t *testing.T, updates <-chan wire.Response, want dots.Status) {
	t.Helper()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("status %v is not told", want)
		case r := <-updates:
			if len(r.Reports) == 1 && r.Reports[0].Status == want {
				return
			}
		}
	}
}

func TestServersConfiguration(t *testing.T) {
	r := newRig(t, ServerConfig{Heartbeat: -1})
	r.as(r.config("client1", ctl.TransportDTLS), func(ctx context.Context, c *ctl.Conn) {
		resp, err := c.GetConfig(ctx, dots.Maybe[uint64]{})
		resp = answered(t, "GET", resp, err, dots.CodeContent)
		if diff := cmp.Diff(dots.SessionConfig{Mitigating: offer(), Idle: offer()}, resp.Config); diff != "" {
			t.Errorf("offered, -want +got:\n%s", diff)
		}
		resp, err = c.GetConfig(ctx, dots.Some[uint64](1))
		answered(t, "GET of an unknown sid", resp, err, dots.CodeNotFound)

		set := dots.SessionConfig{Idle: dots.ConfigSet{HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](1)}}}
		resp, err = c.PutConfig(ctx, 2, set)
		answered(t, "PUT", resp, err, dots.CodeCreated)
		resp, err = c.PutConfig(ctx, 2, set)
		answered(t, "PUT again", resp, err, dots.CodeChanged)
		resp, err = c.PutConfig(ctx, 1, set)
		answered(t, "PUT of a lower sid", resp, err, dots.CodeBadRequest)
		resp, err = c.GetConfig(ctx, dots.Some[uint64](2))
		resp = answered(t, "GET of the sid", resp, err, dots.CodeContent)
		if diff := cmp.Diff(set, resp.Config); diff != "" {
			t.Errorf("installed, -want +got:\n%s", diff)
		}
		set.Idle.HeartbeatInterval.Current.Value = 241
		resp, err = c.PutConfig(ctx, 3, set)
		answered(t, "PUT out of range", resp, err, dots.CodeUnprocessable)
		resp, err = c.DeleteConfig(ctx, dots.Maybe[uint64]{})
		answered(t, "DELETE", resp, err, dots.CodeDeleted)
		resp, err = c.GetConfig(ctx, dots.Some[uint64](2))
		answered(t, "GET after it", resp, err, dots.CodeNotFound)
	})
}

// TestServersHeartbeats: RFC 9132, Section 4.7: heartbeats go both ways.
func TestServersHeartbeats(t *testing.T) {
	r := newRig(t, ServerConfig{Heartbeat: 20 * time.Millisecond})
	for _, profile := range []string{"rfc9132", "draft04"} {
		cfg := r.config("client1", ctl.TransportDTLS)
		cfg.Profile = profile
		r.as(cfg, func(ctx context.Context, c *ctl.Conn) {
			if err := c.Heartbeat(ctx, true); err != nil {
				t.Errorf("%s: our heartbeat: %v", profile, err)
			}
			eventually(ctx, t, c, func() bool { return profile == "draft04" || c.Heart.Heard() >= 2 })
		})
	}
	beats := slices.DeleteFunc(r.journal(), func(e Entry) bool { return e.Op != "heartbeat" || !*e.Body.PeerHB || e.Answer != "2.04" })
	if len(beats) != 1 {
		t.Errorf("%d heartbeats in the journal, want 1: the older dialect has pings", len(beats))
	}
}

// TestArmedBySilence: a client that falls silent is lost, and what it had armed starts.
func TestArmedBySilence(t *testing.T) {
	r := newRig(t, ServerConfig{Scenario: quick(), Heartbeat: 25 * time.Millisecond, MissingAllowed: 2})
	link := newFilter(t, r.Addrs()[0].String())
	cfg := r.config("client1", ctl.TransportDTLS)
	cfg.Server = link.addr()
	m := ask(1, prefixes("192.0.2.0/24"))
	m.OnSignalLoss = true
	r.as(cfg, func(ctx context.Context, c *ctl.Conn) {
		resp, err := c.Mitigate(ctx, m)
		answered(t, "PUT", resp, err, dots.CodeCreated)
		link.cut()
		r.as(r.config("client2", ctl.TransportTLS), func(ctx context.Context, c *ctl.Conn) {
			eventually(ctx, t, c, func() bool { return r.Sessions() == 1 }) // client2's own
		})
	})
	r.as(r.config("client1", ctl.TransportTLS), func(ctx context.Context, c *ctl.Conn) {
		resp, err := c.Get(ctx, dots.Some[uint32](1))
		resp = answered(t, "GET", resp, err, dots.CodeContent)
		if s := resp.Reports[0].Status; s != dots.StatusInProgress && s != dots.StatusMitigated {
			t.Errorf("status %v, want it started", s)
		}
	})
}

// filter is a UDP link to a server that can be cut.
type filter struct {
	conn net.PacketConn
	off  chan struct{}
}

func (f *filter) addr() string { return f.conn.LocalAddr().String() }
func (f *filter) cut()         { close(f.off) }

func newFilter(t *testing.T, server string) *filter {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &filter{conn: conn, off: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var client net.Addr
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			select {
			case <-f.off:
				continue
			default:
			}
			dest := net.Addr(to)
			if from.String() == to.String() {
				dest = client
			} else {
				client = from
			}
			_, _ = conn.WriteTo(buf[:n], dest)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return f
}

func TestDroppedRequests(t *testing.T) {
	r := newRig(t, ServerConfig{Scenario: Scenario{Drop: 1}})
	r.as(r.config("client1", ctl.TransportTLS), func(ctx context.Context, c *ctl.Conn) {
		short, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			<-r.asked
			cancel()
		}()
		if resp, err := c.Get(short, dots.Maybe[uint32]{}); err == nil {
			t.Errorf("the first request was answered %v", resp.Code)
		}
		if err := c.Heartbeat(ctx, true); err != nil {
			t.Errorf("a heartbeat: %v", err)
		}
		resp, err := c.Get(ctx, dots.Maybe[uint32]{})
		answered(t, "the second request", resp, err, dots.CodeNotFound)
	})
	var codes []string
	for _, e := range r.journal() {
		codes = append(codes, e.Op+" "+e.Answer)
	}
	if diff := cmp.Diff([]string{"get mitigations ", "heartbeat 2.04", "get mitigations 4.04"}, codes); diff != "" {
		t.Errorf("journal, -want +got:\n%s", diff)
	}
}

func TestSilence(t *testing.T) {
	r := newRig(t, ServerConfig{Scenario: Scenario{Silences: []Silence{{For: time.Hour}}}, Heartbeat: 10 * time.Millisecond})
	r.as(r.config("client1", ctl.TransportDTLS), func(ctx context.Context, c *ctl.Conn) {
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if err := c.Heartbeat(short, true); err == nil {
			t.Error("a heartbeat was answered")
		}
		if n := c.Heart.Heard(); n != 0 {
			t.Errorf("%d heartbeats of a silent server", n)
		}
	})
}

func TestJournal(t *testing.T) {
	r := newRig(t, ServerConfig{})
	r.as(r.config("client2", ctl.TransportDTLS), func(ctx context.Context, c *ctl.Conn) {
		m := ask(3, prefixes("192.0.2.0/24"))
		m.Target.Ports, m.Target.Protocols = []dots.PortRange{{Lower: 80, Upper: 81}}, []uint8{6}
		resp, err := c.Mitigate(ctx, m)
		answered(t, "PUT", resp, err, dots.CodeCreated)
		m.Target.Protocols = nil
		resp, err = c.Mitigate(ctx, m)
		answered(t, "PUT of something else", resp, err, dots.CodeBadRequest)
		for _, path := range [][]string{{"nowhere"}, {".well-known", "dots", "mitigate"}} {
			bad := &coap.Message{Code: coap.GET}
			bad.Options.SetPath(path...)
			if _, err := c.Session().Do(ctx, bad); err != nil {
				t.Errorf("%q: %v", path, err)
			}
		}
	})
	mid, life := uint32(3), dots.Lifetime(3600)
	entries := r.journal()
	if len(entries) != 4 {
		t.Fatalf("%d entries", len(entries))
	}
	first := entries[0]
	if since := time.Since(first.Time); since < 0 || since > testLife || first.Session == 0 || len(first.CUID) != 22 || first.Bytes == 0 {
		t.Errorf("first entry %+v", first)
	}
	want := Entry{
		Transport: "dtls", Identity: "client2.lab.example", Profile: "rfc9132", Method: "PUT", Non: true,
		Path: "/.well-known/dots/mitigate/cuid=" + first.CUID + "/mid=3", Op: "put mitigation", CUID: first.CUID, MID: &mid,
		Body:   &Body{Prefixes: []string{"192.0.2.0/24"}, Ports: []string{"80-81"}, Protocols: []int{6}, Lifetime: &life},
		Answer: "2.01", Lifetime: &life,
	}
	want.Time, want.Session, want.Bytes = first.Time, first.Session, first.Bytes
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if e := entries[1]; e.Answer != "4.00" || !strings.Contains(e.Diagnostic, "mid") {
		t.Errorf("second entry %+v", e)
	}
	if e := entries[2]; e.Answer != "4.04" || e.Path != "/nowhere" || e.Profile != "" || e.Op != "" || e.Non {
		t.Errorf("third entry %+v", e)
	}
	if e := entries[3]; e.Answer != "4.00" || e.Profile != "rfc9132" || e.Op != "" {
		t.Errorf("fourth entry %+v", e)
	}
}

// TestObserversOfAll: an observer of all a client's mitigations is told of each, and of the end of the last.
func TestObserversOfAll(t *testing.T) {
	r := newRig(t, ServerConfig{Scenario: quick(), Terminating: 20 * time.Millisecond, Remembered: 20 * time.Millisecond})
	r.as(r.config("client1", ctl.TransportTLS), func(ctx context.Context, c *ctl.Conn) {
		for mid, p := range map[uint32]string{1: "192.0.2.1/32", 2: "192.0.2.2/32"} {
			resp, err := c.Mitigate(ctx, ask(mid, prefixes(p)))
			answered(t, "PUT", resp, err, dots.CodeCreated)
		}
		most, ended := 0, make(chan struct{})
		_, err := c.Observe(ctx, dots.Maybe[uint32]{}, func(r wire.Response, _ error) {
			most = max(most, len(r.Reports))
			if r.Code == dots.CodeNotFound {
				close(ended)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, mid := range []uint32{1, 2} {
			if _, err := c.Withdraw(ctx, mid); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-ended:
		case <-ctx.Done():
			t.Fatal("the end of the last is not told")
		}
		if most != 2 {
			t.Errorf("told of %d at most, want 2", most)
		}
	})
}

func TestServerConfigMistakes(t *testing.T) {
	dir := pki(t)
	good := ServerConfig{Credentials: creds(t, dir, "upstream"), Listeners: []Listener{{coap.NetworkUDP, "127.0.0.1:0"}}}
	tests := []struct {
		name   string
		change func(*ServerConfig)
		want   string
	}{
		{"no listener", func(c *ServerConfig) { c.Listeners = nil }, "required"},
		{"no credentials", func(c *ServerConfig) { c.Credentials = nil }, "required"},
		{"a wrong scenario", func(c *ServerConfig) { c.Scenario.Drop = -1 }, "scenario"},
		{"an unknown profile", func(c *ServerConfig) { c.Profile = "rfc8782" }, "unknown profile"},
		{"a second listener that cannot be", func(c *ServerConfig) {
			c.Listeners = append(c.Listeners, Listener{"sctp", "127.0.0.1:0"})
		}, "unknown network"},
	}
	for _, tt := range tests {
		cfg := good
		tt.change(&cfg)
		if _, err := NewServer(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestOneProfile: a server of one dialect does not know the other's paths.
func TestOneProfile(t *testing.T) {
	r := newRig(t, ServerConfig{Profile: "draft04"})
	r.as(r.config("client1", ctl.TransportTLS), func(ctx context.Context, c *ctl.Conn) {
		resp, err := c.Get(ctx, dots.Maybe[uint32]{})
		resp = answered(t, "GET", resp, err, dots.CodeNotFound)
		if resp.Diagnostic != "no such resource" {
			t.Errorf("diagnostic %q", resp.Diagnostic)
		}
	})
}

// TestStrangersAreKeptOut: neither another authority's certificate nor an expired one makes a session.
func TestStrangersAreKeptOut(t *testing.T) {
	r := newRig(t, ServerConfig{})
	for _, name := range []string{"stranger", "expired"} {
		for _, transport := range []string{ctl.TransportDTLS, ctl.TransportTLS} {
			ctx, cancel := context.WithTimeout(t.Context(), testLife)
			err := ctl.Open(ctx, r.config(name, transport), testLife, func(ctx context.Context, c *ctl.Conn) error {
				return c.Ping(ctx)
			})
			cancel()
			if ctl.ExitCode(err) != ctl.ExitNoSession {
				t.Errorf("%s over %s: %v", name, transport, err)
			}
		}
	}
	if n := len(r.journal()); n != 0 {
		t.Errorf("%d requests of strangers", n)
	}
}
