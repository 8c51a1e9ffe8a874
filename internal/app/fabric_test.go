package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// TestSharedLeg holds that two clients who ask for the same share a leg, that the operator sees it, and that it goes with the last of them.
func TestSharedLeg(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	gw := startGateway(t, writeGatewayFile(t, pki, up.address(), config.TransportDTLS, ""))
	gw.awaitUplink(t, true)
	a, b := connect(t, pki, "client1", gw.Addrs()[0]), connect(t, pki, "client2", gw.Addrs()[1])
	a.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	b.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	eventually(t, "one leg stands for both", func() error {
		shown, err := gw.operator().Mitigations(t.Context(), admin.Filter{})
		if err != nil || len(shown) != 2 {
			return fmt.Errorf("mitigations %+v, %w", shown, err)
		}
		for _, m := range shown {
			if len(m.Legs) != 1 || m.Legs[0].SharedBy != 2 || m.Legs[0].MID != shown[0].Legs[0].MID {
				return fmt.Errorf("mitigation %+v", m)
			}
		}
		if page := lines(t, gw.metrics); !strings.Contains(page, `dotsgate_legs_shared{uplink="upstream"} 1`) {
			return fmt.Errorf("the metrics do not tell it")
		}
		return nil
	})
	a.must(t, dots.CodeDeleted, remove(1))
	b.must(t, dots.CodeContent, get(1))
	up.await(t, "what the other still wants", func() bool { return len(up.prefixes()) == 1 })
	b.must(t, dots.CodeDeleted, remove(1))
	up.await(t, "nothing", func() bool { return len(up.prefixes()) == 0 })
}

// moreUplinks adds an uplink to the gateway's file, and says which the domain uses.
func moreUplinks(t *testing.T, file string, other *upstreamServer, use string) {
	t.Helper()
	change(t, file, "uplinks:\n", fmt.Sprintf("uplinks:\n  - {name: second, address: %q, server_name: upstream.lab.example}\n", other.address()))
	change(t, file, "  - name: lab\n", "  - name: lab\n    "+use+"\n")
}

// TestDrain empties an uplink by command: what stands there goes on at the other one, before it ends at the first.
func TestDrain(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	first, second := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0"), startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, first.address(), config.TransportDTLS, "")
	moreUplinks(t, file, second, "uplinks: [upstream, second]")
	gw := startGateway(t, file)
	gw.awaitUplinks(t, "upstream", "second")
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	first.await(t, "what is asked", func() bool { return len(first.prefixes()) == 1 })
	if err := gw.operator().Drain(t.Context(), "upstream", true); err != nil {
		t.Fatal(err)
	}
	second.await(t, "what stood at the first", func() bool { return len(second.prefixes()) == 1 })
	first.await(t, "nothing", func() bool { return len(first.prefixes()) == 0 })
	c.must(t, dots.CodeContent, get(1))
	uplinks, err := gw.operator().Uplinks(t.Context(), admin.Filter{Uplink: "upstream"})
	if err != nil || len(uplinks) != 1 || !uplinks[0].Drained {
		t.Errorf("uplinks: %+v, %v", uplinks, err)
	}
	eventually(t, "the metrics tell it", func() error {
		if page := lines(t, gw.metrics); !strings.Contains(page, `dotsgate_uplink_drained{uplink="upstream"} 1`) {
			return os.ErrNotExist
		}
		return nil
	})
}

// awaitUplinks waits until these uplinks have sessions.
func (g *testGateway) awaitUplinks(t testing.TB, names ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v are up", names), func() error {
		up := map[string]bool{}
		for _, l := range g.upstream.Links() {
			up[l.Name] = l.Up
		}
		for _, name := range names {
			if !up[name] {
				return fmt.Errorf("%s is not", name)
			}
		}
		return nil
	})
}

// TestReloadMove moves a domain to an uplink that a reload brings, and takes the old one away.
func TestReloadMove(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	first, second := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0"), startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, first.address(), config.TransportDTLS, "")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	moreUplinks(t, file, second, "uplinks: [second]")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.await(t, "what stood at the first", func() bool { return len(second.prefixes()) == 1 })
	first.await(t, "nothing", func() bool { return len(first.prefixes()) == 0 })
	change(t, file, "  - {name: upstream,", "  - {name: third,")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	gw.awaitUplinks(t, "second", "third")
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	eventually(t, "the metrics tell of the uplinks of today alone", func() error {
		if page := lines(t, gw.metrics); strings.Contains(page, `uplink="upstream"`) || !strings.Contains(page, `dotsgate_uplink_up{uplink="third"}`) {
			return os.ErrExist
		}
		return nil
	})
}

// scrubber writes a program that notes what it is asked.
func scrubber(t *testing.T, dir string) (program, notes string) {
	t.Helper()
	program, notes = filepath.Join(dir, "scrubber.sh"), filepath.Join(dir, "notes")
	// A line for each message; an empty answer is: done, nothing to tell.
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncat >> "+notes+"\necho >> "+notes+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, notes
}

// TestLocalMitigator asks a program of our own first, and an upstream server when the operator says so.
func TestLocalMitigator(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	program, notes := scrubber(t, filepath.Dir(file))
	change(t, file, "domains:\n", "mitigators: [{name: scrubber, command: {program: "+program+"}}]\ndomains:\n")
	change(t, file, "  - name: lab\n", "  - name: lab\n    mitigators: [scrubber]\n    uplinks: [upstream]\n")
	gw := startGateway(t, file)
	gw.awaitUplinks(t, "upstream", "scrubber")
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	asked := func(action, what string) {
		t.Helper()
		eventually(t, "the program is asked to "+action, func() error {
			text, err := os.ReadFile(notes)
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, `"action":"`+action+`"`) && strings.Contains(line, what) {
					return nil
				}
			}
			return fmt.Errorf("noted %s, %w", text, err)
		})
	}
	asked("start", "192.0.2.1/32")
	up.change(func() {
		if n := len(up.prefixes()); n != 0 {
			t.Errorf("%d stand at the upstream server", n)
		}
	})
	if err := gw.operator().Recurse(t.Context(), admin.Recursion{Client: "client1", MID: 1, Uplink: "upstream"}); err != nil {
		t.Fatal(err)
	}
	up.await(t, "what the operator handed on", func() bool { return len(up.prefixes()) == 1 })
	shown, err := gw.operator().Mitigations(t.Context(), admin.Filter{})
	if err != nil || len(shown) != 1 || !shown[0].Recursed || shown[0].To != "upstream" || len(shown[0].Legs) != 2 {
		t.Errorf("mitigations: %+v, %v", shown, err)
	}
	uplinks, err := gw.operator().Uplinks(t.Context(), admin.Filter{Uplink: "scrubber"})
	if err != nil || len(uplinks) != 1 || !uplinks[0].Local || !uplinks[0].Up {
		t.Errorf("uplinks: %+v, %v", uplinks, err)
	}
	c.must(t, dots.CodeDeleted, remove(1))
	up.await(t, "nothing", func() bool { return len(up.prefixes()) == 0 })
	asked("stop", `"id"`) // once the active-but-terminating period is over
}

// TestTranslation holds that uplinks are asked in their words, and that a new table takes effect by itself, while a bad one does not.
func TestTranslation(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	table := filepath.Join(filepath.Dir(file), "nat.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(table+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(table+".new", table); err != nil {
			t.Fatal(err)
		}
	}
	write("- {inside: 192.0.2.0/24, outside: 203.0.113.0/24}\n")
	change(t, file, "  - name: lab\n", "  - name: lab\n    nat_file: nat.yaml\n")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	stands := func(want string) {
		t.Helper()
		up.await(t, want, func() bool { p := up.prefixes(); return len(p) == 1 && p[0].String() == want })
	}
	stands("203.0.113.1/32")
	c.must(t, dots.CodeBadRequest, put(2, 300, "198.51.100.1/32")) // nothing maps it

	write("- {inside: 192.0.2.0/24, outside: 203.0.113.0/25}\n")
	eventually(t, "the bad table is told", func() error {
		if !strings.Contains(gw.log.String(), "reading the address translation failed") {
			return os.ErrNotExist
		}
		return nil
	})
	stands("203.0.113.1/32")
	write("- {inside: 192.0.2.0/24, outside: 203.0.112.0/24}\n")
	stands("203.0.112.1/32")
}

// TestConsult asks an AAA server about new requests, and about nothing else.
func TestConsult(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Input map[string]any `json:"input"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Errorf("the question cannot be read: %v", err)
		}
		text := fmt.Sprint(q.Input)
		mu.Lock()
		asked = append(asked, text)
		mu.Unlock()
		_, _ = fmt.Fprintf(w, `{"result": {"allow": %v, "reason": "the rule of one"}}`, strings.Contains(text, "192.0.2.1/32"))
	}))
	t.Cleanup(server.Close)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "aaa: {http: {url: "+server.URL+"}, cache: {deny_ttl: 0s}}")
	change(t, file, "  - name: lab\n", "  - name: lab\n    consult: true\n")
	gw := startGateway(t, file)
	gw.awaitUplink(t, true)
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
	c.must(t, dots.CodeUnauthorized, put(2, 300, "192.0.2.2/32"))
	c.must(t, dots.CodeDeleted, remove(1))
	mu.Lock()
	if len(asked) != 2 || !strings.Contains(asked[0], "client1") || !strings.Contains(asked[0], "lab") {
		t.Errorf("asked %q", asked)
	}
	mu.Unlock()
	wantLines(t, gw.metrics, `dotsgate_aaa_decisions_total{decision="allow",source="server"} 1`, `dotsgate_aaa_decisions_total{decision="deny",source="server"} 1`,
		`dotsgate_aaa_seconds_count 2`)

	// A reload that takes the question away takes effect at once.
	change(t, file, "    consult: true\n", "")
	if err := gw.operator().Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.must(t, dots.CodeCreated, put(3, 300, "192.0.2.2/32"))
}

// TestFarm spreads a domain over a farm, and moves what stood at a server that is gone to the other one.
func TestFarm(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	servers := map[string]*upstreamServer{}
	text := "{name: farm, server_name: upstream.lab.example, cuid: per-client, servers: ["
	for _, name := range []string{"a", "b"} {
		servers[name] = startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
		text += fmt.Sprintf("{name: %s, address: %q},", name, servers[name].address())
	}
	file := writeGatewayFile(t, pki, "127.0.0.1:9", config.TransportDTLS, "")
	change(t, file, `{name: upstream, address: "127.0.0.1:9", server_name: upstream.lab.example, transport: dtls}`, text+"]}")
	gw := startGateway(t, file)
	gw.awaitUplinks(t, "farm/a", "farm/b")
	c := connect(t, pki, "client1", gw.Addrs()[0])
	c.must(t, dots.CodeCreated, put(1, 300, "192.0.2.1/32"))
	stands := func(name string) (n int) {
		servers[name].change(func() { n = len(servers[name].prefixes()) })
		return n
	}
	at, other := "a", "b"
	if stands(at) == 0 {
		at, other = other, at
	}
	if stands(at) != 1 || stands(other) != 0 {
		t.Fatalf("%d stand at one server and %d at the other", stands(at), stands(other))
	}
	if err := gw.operator().Drain(t.Context(), "farm/"+at, true); err != nil {
		t.Fatal(err)
	}
	servers[other].await(t, "what stood at the other", func() bool { return len(servers[other].prefixes()) == 1 })
	servers[at].await(t, "nothing", func() bool { return len(servers[at].prefixes()) == 0 })
	c.must(t, dots.CodeChanged, put(1, 300, "192.0.2.1/32"))
}
