package app

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestReloadRules takes a prefix and a client away: what is no longer allowed ends and is told, what is goes on untouched.
func TestReloadRules(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	stays, goes := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[1])
	stays.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	stays.must(t, dots.CodeCreated, put(2, 300, "198.51.100.1/32"))
	goes.must(t, dots.CodeCreated, put(1, 300, "192.0.2.2/32"))
	told := stays.watch(t, 2)
	sessions := sessionsOf(up)

	change(t, file, "198.51.100.0/24, ", "")
	change(t, file, "      - {name: client2, credentials: {cert_names: [client2.lab.example]}}\n", "")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, told, dots.StatusWithdrawn)
	select {
	case <-goes.session.Done():
	case <-t.Context().Done():
		t.Fatal("the session of a client that is gone lives")
	}
	up.await(t, "what is still allowed", func() bool { return len(up.prefixes()) == 1 && up.prefixes()[0].String() == "192.0.2.1/32" })
	stays.must(t, dots.CodeContent, get(1))
	stays.must(t, dots.CodeBadRequest, put(3, 300, "198.51.100.2/32"))
	again := connect(t, pki, "client2", gw.Addrs()[1])
	again.must(t, dots.CodeUnauthorized, put(1, 300, "192.0.2.2/32"))
	if got := sessionsOf(up); fmt.Sprint(got) != fmt.Sprint(sessions) {
		t.Errorf("the uplink, which did not change, has sessions %v, had %v", got, sessions)
	}
	wantLines(t, gw.metrics, `dotsgate_reloads_total{outcome="done"} 1`, `dotsgate_reloads_total{outcome="failed"} 0`)
}

// sessionsOf lists the sessions that a server has.
func sessionsOf(u *upstreamServer) (ids []uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// TestReloadBroken holds that a file with mistakes changes nothing, and that each of them is told at its place, to the operator and in the log.
func TestReloadBroken(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	change(t, file, "prefixes: [192.0.2.0/24, ", "prefixes: [192.0.2.1/24, ")
	change(t, file, "terminating: 4s", "terminating: 4 s")
	change(t, file, "name: client2", "name: client3")
	err := gw.operator().Reload(t.Context())
	var mistakes admin.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes) != 2 {
		t.Fatalf("told %T %v", err, err)
	}
	for i, want := range []string{file + ":11:16: domains[0].prefixes[0]: 192.0.2.1/24 has host bits", file + ":21:27: mitigation.terminating: "} {
		if !strings.HasPrefix(mistakes[i], want) {
			t.Errorf("told %q, want %q", mistakes[i], want)
		}
		if !strings.Contains(gw.log.String(), want) {
			t.Errorf("the log does not tell %q", want)
		}
	}
	c.must(t, dots.CodeCreated, put(1, 300, "198.51.100.1/32"))
	connect(t, pki, "client2", gw.Addrs()[1]).must(t, dots.CodeCreated, put(1, 300, "192.0.2.2/32"))
	wantLines(t, gw.metrics, `dotsgate_reloads_total{outcome="done"} 0`, `dotsgate_reloads_total{outcome="failed"} 1`)

	// What cannot be built counts as broken, too: here a certificate that is good, and whose key is not.
	change(t, file, "192.0.2.1/24", "192.0.2.0/24")
	change(t, file, "terminating: 4 s", "terminating: 4s")
	change(t, file, "gateway.key", "upstream.key")
	if err := gw.operator().Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "private key does not match") {
		t.Errorf("with another's key: %v", err)
	}
	if connect(t, pki, "client2", gw.Addrs()[0]).must(t, dots.CodeContent, get(1)); gw.policyNow().Domain("client3") != "" {
		t.Error("a client of a broken file is known")
	}
}

// TestReloadUplink moves an uplink to another server, and a domain to another uplink.
func TestReloadUplink(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	first, second := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0"), startUpstream(t, pki, coap.NetworkTCP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, first.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))

	change(t, file, first.address(), second.address())
	change(t, file, "server_name: upstream.lab.example, transport: dtls", "server_name: upstream.lab.example, transport: tls")
	if err := gw.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	stands := func() bool { return len(second.prefixes()) == 1 }
	second.await(t, "what stood at the first server", stands)
	gw.awaitUplink(t, true)
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	eventually(t, "the metrics tell it", func() error {
		page := lines(t, gw.metrics)
		for _, line := range []string{
			`dotsgate_sessions{side="uplink",transport="tls"} 1`, `dotsgate_sessions{side="uplink",transport="dtls"} 0`, `dotsgate_uplink_up{uplink="upstream"} 1`,
		} {
			if !strings.Contains(page, line+"\n") {
				return fmt.Errorf("no %s", line)
			}
		}
		return nil
	})
}

// TestReloadFixed holds that what needs a restart is named, that the rest applies, and that the log's level follows.
func TestReloadFixed(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	file := writeGatewayFile(t, pki, freeAddress(t), config.TransportDTLS, "")
	gw := startGateway(t, file)
	var level slog.LevelVar
	gw.SetLevel(&level)
	change(t, file, "terminating: 4s", "terminating: 5s")
	change(t, file, "socket: admin.sock", "socket: other.sock")
	change(t, file, "transport: dtls, profiles: [rfc9132, draft04]", "transport: dtls")
	change(t, file, "name: client2", "name: client3")
	change(t, file, "store: {path: store.db}", "store: {path: store.db}\nlog: {level: error}")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	gw.log.order(t, "changed settings take effect after a restart", `settings="listeners, mitigation, admin"`, "configuration reloaded")
	if level.Level() != slog.LevelError {
		t.Errorf("the log's level is %v", level.Level())
	}
	if gw.policyNow().Domain("client3") != "lab" {
		t.Error("the new client is not known")
	}
	if _, err := gw.operator().Uplinks(t.Context(), admin.Filter{}); err != nil {
		t.Errorf("the operator's socket moved: %v", err)
	}
}

// TestNeedRestart looks at each setting that cannot change while the gateway runs.
func TestNeedRestart(t *testing.T) {
	for want, change := range map[string]func(*config.Config){
		"": func(c *config.Config) {
			c.Log.Level, c.DNS.Server, c.AAA = "debug", "192.0.2.53:53", &config.AAA{}
			c.Uplinks, c.Mitigators, c.Credentials = []config.Uplink{{}}, []config.Mitigator{{}}, config.Credentials{Cert: "x"}
		},
		"node":       func(c *config.Config) { c.HopLimit++ },
		"listeners":  func(c *config.Config) { c.Listeners = []config.Listener{{Address: "x"}} },
		"mitigation": func(c *config.Config) { c.Mitigation.WhenDown = "refuse" },
		"session":    func(c *config.Config) { c.Session.MissingHBAllowed++ },
		"store":      func(c *config.Config) { c.Store = "x" },
		"metrics":    func(c *config.Config) { c.Metrics = "x" },
		"admin":      func(c *config.Config) { c.Admin = "x" },
		"log.format": func(c *config.Config) { c.Log.Format = "json" },
	} {
		next := &config.Config{}
		change(next)
		if got := strings.Join(needRestart(&config.Config{}, next), ","); got != want {
			t.Errorf("needs a restart for %q, want %q", got, want)
		}
	}
}
