package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/policy"
)

// fabric is a configuration without a mistake that uses what there is of farms, mitigators, classes, translation, recursion and AAA.
const fabric = `node: {id: gw1, unicast: [192.0.2.1, "2001:db8::1"], unicast_name: gw1.example.net}
listeners:
  - {address: "0.0.0.0:4646", redirect_to: {server: spare.example.net, addresses: [192.0.2.77, "2001:db8::77"]}, side: client-domain}
  - {address: "0.0.0.0:4747", anycast: true}
credentials: {cert: cert.pem, key: key.pem, ca: ca.pem}
uplinks:
  - name: farm
    server_name: dots.example.net
    cuid: per-client
    cdid: insert
    prefixes: [203.0.113.0/24]
    source: 192.0.2.1
    interface: eth1
    record_path: pion
    path_mtu: 1500
    servers:
      - {name: a, address: "a.example.net:4646"}
      - {name: b, address: "b.example.net:4646", server_name: b.example.net}
  - {name: solo, address: "solo.example.net:4646"}
mitigators:
  - name: hook
    webhook: {url: "https://hook.example.net/dots", status_url: "https://hook.example.net/dots/{id}", secret_file: secret.txt, ca: ca.pem, cert: cert.pem, key: key.pem, timeout: 3s}
    status_every: 5s
  - name: script
    command: {program: run.sh, args: [-x], env: [A=b], timeout: 2s}
  - name: routes
    bgp:
      address: 192.0.2.9:50051
      ca: ca.pem
      cert: cert.pem
      key: key.pem
      api: v4
      mode: flowspec
      communities: ["64500:1", "64500:1:2"]
      marker: "64500:7:7"
      action: rate
      rate: 1000
      min_length4: 25
      max_routes: 10
  - name: hole
    bgp: {mode: blackhole, next_hop4: 192.0.2.66, next_hop6: "100::1"}
classes:
  - {name: small, limits: {max_mitigations: 2, requests_per_minute: 3}}
  - {name: visitor, guest: true}
domains:
  - name: inside
    prefixes: [10.0.0.0/24]
    uplinks: [solo]
    nat:
      - {inside: 10.0.0.0/25, outside: 198.51.100.0/25}
      - {inside: 10.0.0.128, outside: 198.51.100.128/32, inside_ports: 8080-8081, outside_ports: 80-81}
    clients:
      - {name: lan, class: small, credentials: {cert_names: [lan]}}
  - name: file
    prefixes: [10.0.1.0/24]
    uplinks: [farm, solo]
    strategy: serial
    mitigators: [hook, script]
    recursion: {on_exceeded: true, pps: 1000, bps: 2000, mitigations: 5, low: 0.5, hold: 1m}
    nat_file: nat.yaml
    consult: true
    on_overlap: merge
    limits: {max_observers: 7, new_cuids_per_hour: 9}
    clients:
      - {name: other, credentials: {cert_names: [other]}}
      - {name: guest, class: visitor, credentials: {cert_names: [guest]}}
limits: {max_observers: 5, requests_per_minute: 60}
aaa:
  radius: {servers: ["192.0.2.18:1812", "192.0.2.19:1812"], secret_file: secret.txt, timeout: 500ms, tries: 2, dead_time: 10s, vendor: 12345}
  cache: {size: 100, allow_ttl: 0s, deny_ttl: 5s}
  fail: last-known
  max_stale: 1h
store: {path: dotsgate.db}
`

// natTable is the translation file that it names.
const natTable = `- {inside: 10.0.1.0/24, outside: 198.51.101.0/24}
`

// fabricFolder makes a folder with what the fabric names.
func fabricFolder(t testing.TB) string {
	t.Helper()
	dir := folder(t)
	testpki.WriteFile(t, filepath.Join(dir, "secret.txt"), []byte("0123456789abcdef\n"))
	testpki.WriteFile(t, filepath.Join(dir, "short.txt"), []byte("0123456789abcde\n"))
	testpki.WriteFile(t, filepath.Join(dir, "nat.yaml"), []byte(natTable))
	if err := os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFabric(t *testing.T) {
	dir := fabricFolder(t)
	c, err := parseIn(dir, fabric)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	shared := Uplink{Transport: "auto", ProbeUDP: 24 * time.Hour, Redirects: true, Profile: "rfc9132", Credentials: c.Credentials, Source: netip.MustParseAddr("192.0.2.1"), Interface: "eth1", RecordPath: "pion", PathMTU: 1500}
	a, b := shared, shared
	a.Name, a.Address, a.ServerName = "farm/a", "a.example.net:4646", "dots.example.net"
	b.Name, b.Address, b.ServerName = "farm/b", "b.example.net:4646", "b.example.net"
	solo := Uplink{Name: "solo", Address: "solo.example.net:4646", Transport: "auto", ProbeUDP: 24 * time.Hour, Redirects: true, Profile: "rfc9132", Credentials: c.Credentials, RecordPath: "own"}
	bound := BGP{
		Address: "192.0.2.9:50051", API: "v4", CA: in("ca.pem"), Cert: in("cert.pem"), Key: in("key.pem"), Timeout: 5 * time.Second,
		Mode: "flowspec", Communities: []string{"64500:1", "64500:1:2"}, Marker: "64500:7:7", MinLength4: 25, MinLength6: 48,
		Action: "rate", Rate: 1000, MaxPerLeg: 100, MaxRoutes: 10,
	}
	hole := BGP{
		Address: "127.0.0.1:50051", Timeout: 5 * time.Second, Mode: "blackhole", MinLength4: 24, MinLength6: 48, Action: "discard",
		MaxPerLeg: 100, MaxRoutes: 1000, NextHop4: netip.MustParseAddr("192.0.2.66"), NextHop6: netip.MustParseAddr("100::1"),
	}
	hook := Hook{URL: "https://hook.example.net/dots", CA: in("ca.pem"), Cert: in("cert.pem"), Key: in("key.pem"), Timeout: 3 * time.Second}
	for what, pair := range map[string][2]any{
		"listeners": {[]Listener{
			{Address: "0.0.0.0:4646", Transport: "dtls", Profiles: []string{"rfc9132"}, RecordPath: "own", ClientDomain: true, RedirectTo: Alternate{
				Server: "spare.example.net", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77")},
			}},
			{Address: "0.0.0.0:4747", Transport: "dtls", Profiles: []string{"rfc9132"}, RecordPath: "own", Anycast: true},
		}, c.Listeners},
		"unicast": {[]any{[]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, "gw1.example.net"}, []any{c.Unicast, c.UnicastName}},
		"uplinks": {[]Uplink{a, b, solo}, c.Uplinks},
		"mitigators": {[]Mitigator{
			{Name: "hook", StatusEvery: 5 * time.Second, Webhook: &Webhook{Hook: hook, StatusURL: "https://hook.example.net/dots/{id}", SecretFile: in("secret.txt")}},
			{Name: "script", StatusEvery: 10 * time.Second, Command: &Command{Program: in("run.sh"), Args: []string{"-x"}, Env: []string{"A=b"}, Timeout: 2 * time.Second}},
			{Name: "routes", StatusEvery: 10 * time.Second, BGP: &bound},
			{Name: "hole", StatusEvery: 10 * time.Second, BGP: &hole},
		}, c.Mitigators},
		"aaa": {&AAA{
			Radius: &Radius{
				Servers: []string{"192.0.2.18:1812", "192.0.2.19:1812"}, SecretFile: in("secret.txt"), Timeout: 500 * time.Millisecond, Tries: 2,
				DeadTime: 10 * time.Second, Vendor: 12345,
			},
			CacheSize: 100, DenyTTL: 5 * time.Second, Fail: FailLastKnown, MaxStale: time.Hour,
		}, c.AAA},
		"translation files": {[]string{in("nat.yaml")}, c.NATFiles()},
	} {
		if diff := cmp.Diff(pair[0], pair[1], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	checkWords(t, c.words)
	checkFabric(t, c.Policy)
}

// checkWords compares what policy is told.
func checkWords(t *testing.T, words policy.Config) {
	t.Helper()
	prefix := netip.MustParsePrefix
	some := func(n int) dots.Maybe[int] { return dots.Some(n) }
	want := policy.Config{
		Uplinks: []policy.Uplink{
			{Name: "farm/a", CUIDMode: policy.CUIDPerClient, CDID: true, Prefixes: []netip.Prefix{prefix("203.0.113.0/24")}},
			{Name: "farm/b", CUIDMode: policy.CUIDPerClient, CDID: true, Prefixes: []netip.Prefix{prefix("203.0.113.0/24")}},
			{Name: "solo", CUIDMode: policy.CUIDAggregate},
			{Name: "hook", CUIDMode: policy.CUIDPerClient, Local: true},
			{Name: "script", CUIDMode: policy.CUIDPerClient, Local: true},
			{Name: "routes", CUIDMode: policy.CUIDPerClient, Local: true},
			{Name: "hole", CUIDMode: policy.CUIDPerClient, Local: true},
		},
		Farms: []policy.Farm{{Name: "farm", Members: []string{"farm/a", "farm/b"}}},
		Classes: []policy.Class{
			{Name: "small", Limits: policy.Limits{MaxMitigations: some(2), RequestsPerMinute: some(3)}}, {Name: "visitor", Guest: true},
		},
		Defaults: policy.Defaults{AllowIndefinite: true},
		Domains: []policy.Domain{
			{
				Name: "inside", Prefixes: []netip.Prefix{prefix("10.0.0.0/24")}, Uplinks: []string{"solo"},
				NAT: []policy.Mapping{
					{Inside: prefix("10.0.0.0/25"), Outside: prefix("198.51.100.0/25")},
					{
						Inside: prefix("10.0.0.128/32"), Outside: prefix("198.51.100.128/32"),
						InsidePorts: dots.PortRange{Lower: 8080, Upper: 8081}, OutsidePorts: dots.PortRange{Lower: 80, Upper: 81},
					},
				},
				Clients: []policy.ClientEntry{{Name: "lan", CertNames: []string{"lan"}, Class: "small"}},
				Limits:  policy.Limits{MaxObservers: some(5), RequestsPerMinute: some(60)},
			},
			{
				Name: "file", Prefixes: []netip.Prefix{prefix("10.0.1.0/24")}, Uplinks: []string{"farm", "solo"}, Strategy: policy.StrategySerial,
				Mitigators: []string{"hook", "script"}, Consult: true, OnOverlap: policy.OverlapMerge,
				Recursion: policy.Recursion{OnExceeded: true, PktsPerSecond: 1000, BytesPerSecond: 2000, Mitigations: 5, Low: 0.5, Hold: time.Minute},
				NAT:       []policy.Mapping{{Inside: prefix("10.0.1.0/24"), Outside: prefix("198.51.101.0/24")}},
				Clients: []policy.ClientEntry{
					{Name: "other", CertNames: []string{"other"}}, {Name: "guest", CertNames: []string{"guest"}, Class: "visitor"},
				},
				Limits: policy.Limits{MaxObservers: some(7), RequestsPerMinute: some(60), NewCUIDsPerHour: some(9)},
			},
		},
	}
	if diff := cmp.Diff(want, words, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("policy is told (-want +got):\n%s", diff)
	}
}

// checkFabric sees that limits meet: a class goes before the domain, which goes before all.
func checkFabric(t *testing.T, p *policy.Policy) {
	t.Helper()
	for client, want := range map[string][3]int{"lan": {3, 0, 5}, "other": {60, 9, 7}} {
		if r := p.Rates(client); [3]int{r.RequestsPerMinute, r.NewCUIDsPerHour, p.MaxObservers(client)} != want {
			t.Errorf("%s: rates %+v and %d observers, want %v", client, r, p.MaxObservers(client), want)
		}
	}
	if p.MayMitigate("guest") || !p.InsertsCDID("farm/b") || !p.Local("hook") || p.Local("solo") {
		t.Error("a guest, a cdid or a mitigator is not as configured")
	}
}

// TestFabricMistakes makes one mistake at a time in the fabric.
func TestFabricMistakes(t *testing.T) {
	t.Parallel()
	dir := fabricFolder(t)
	for _, m := range fabricMistakes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(fabric, m.old) == 0 {
				t.Fatalf("the fabric has no %q", m.old)
			}
			text := strings.Replace(fabric, m.old, m.new, 1)
			_, err := parseIn(dir, text)
			es := mistakes(t, err)
			if len(es) != 1 {
				t.Fatalf("found %d mistakes, want 1:\n%v", len(es), err)
			}
			line, column := place(t, text, m.at)
			if e := es[0]; e.Line != line || e.Column != column || e.Path != m.path || !strings.Contains(e.Cause, m.cause) || !strings.Contains(e.Fix, m.fix) {
				t.Errorf("found %s\nwant  %s", e, fmt.Sprintf("%d:%d: %s: %s; %s", line, column, m.path, m.cause, m.fix))
			}
		})
	}
}

func fabricMistakes() []mistake {
	return []mistake{
		{"anycast to nowhere", `, unicast: [192.0.2.1, "2001:db8::1"]`, "", "true}\ncred", "listeners[1].anycast", "nowhere to send", "node.unicast"},
		{"all anycast", `redirect_to: {server: spare.example.net, addresses: [192.0.2.77, "2001:db8::77"]}, side: client-domain`, "anycast: true", "listeners:", "listeners", "served nowhere", "node.unicast"},
		{"nobody to redirect to", "{server: spare.example.net, addresses", "{addresses", "redirect_to", "listeners[0].redirect_to.server", "missing", "certificate"},
		{"redirect to ourselves", "server: spare.example.net", "server: gw1", "gw1, addr", "listeners[0].redirect_to.server", "names this node", "another"},
		{"redirect to ourselves, louder", "server: spare.example.net", "server: GW1", "GW1, addr", "listeners[0].redirect_to.server", "names this node", "another"},
		{"redirect to ourselves, with a dot", "server: spare.example.net", "server: gw1.", "gw1., addr", "listeners[0].redirect_to.server", "names this node", "another"},
		{"redirect to an address", "server: spare.example.net", "server: 192.0.2.7", "192.0.2.7, addr", "listeners[0].redirect_to.server", "no host's name", "dots.example.net"},
		{"redirect to no name", "server: spare.example.net", "server: spare_host", "spare_host, addr", "listeners[0].redirect_to.server", "no host's name", "dots.example.net"},
		{"redirect to a broken name", "server: spare.example.net", "server: a..b", "a..b, addr", "listeners[0].redirect_to.server", "no host's name", "dots.example.net"},
		{"redirect to many", "[192.0.2.77", "[224.0.0.1", "224.0.0.1", "listeners[0].redirect_to.addresses[0]", "no host's address", "192.0.2.1"},
		{"unicast to many", "[192.0.2.1, ", "[224.0.0.1, ", "224.0.0.1", "node.unicast[0]", "no host's address", "192.0.2.1"},
		{"unknown side", "side: client-domain", "side: inside", "inside}\n", "listeners[0].side", "not known", "server-domain, client-domain"},
		{"farm with an address", "    source: 192", "    address: dots.example.net:4646\n    source: 192", "dots.example.net:4646", "uplinks[0].address", "servers have the addresses", "servers"},
		{"server without name", "{name: a, address", "{address", "address: \"a.", "uplinks[0].servers[0].name", "missing", "each server"},
		{"server's name twice", "{name: b, address", "{name: a, address", "a, address: \"b.", "uplinks[0].servers[1].name", "used twice", "own name"},
		{"server without address", `{name: a, address: "a.example.net:4646"}`, "{name: a}", "name: a}", "uplinks[0].servers[0].address", "missing", "HOST:PORT"},
		{"server is ourselves", "a.example.net:4646", "localhost:4646", `"localhost`, "uplinks[0].servers[0].address", "would loop", "upstream"},
		{"one cdid for many", "cuid: per-client", "cuid: aggregate", "insert", "uplinks[0].cdid", "cannot speak for all", "per-client"},
		{"unknown cdid", "cdid: insert", "cdid: yes-please", "yes-please", "uplinks[0].cdid", "not known", "none, insert"},
		{"provider's prefix with host bits", "[203.0.113.0/24]", "[203.0.113.1/24]", "203.0.113.1", "uplinks[0].prefixes[0]", "host bits", "203.0.113.0/24"},
		{"source is no address", "source: 192.0.2.1", "source: eth0", "eth0", "uplinks[0].source", "no host's address", "use an IP address"},
		{"long interface", "interface: eth1", "interface: averylongnameofone", "averylong", "uplinks[0].interface", "is no interface", "eth1"},
		{"large path MTU", "path_mtu: 1500", "path_mtu: 1501", "1501", "uplinks[0].path_mtu", "out of range", "576 to 1500"},
		{"unknown record path", "record_path: pion", "record_path: openssl", "openssl", "uplinks[0].record_path", "not known", "own, pion"},
		{"no uplink of that name", "uplinks: [farm, solo]", "uplinks: [form, solo]", "form, solo", "domains[1].uplinks[0]", "not known", "one of the uplinks"},
		{"one server of a farm", "uplinks: [farm, solo]", "uplinks: [farm/a, solo]", "farm/a, solo", "domains[1].uplinks[0]", "one server of farm", "name farm"},
		{"mitigator under uplinks", "uplinks: [farm, solo]", "uplinks: [routes, solo]", "routes, solo", "domains[1].uplinks[0]", "local mitigator", "mitigators"},
		{"mitigator's name twice", "name: hole", "name: routes", "routes\n    bgp: {", "mitigators[3].name", "used twice", "own name"},
		{"mitigator without a way", "    bgp: {mode: blackhole, next_hop4: 192.0.2.66, next_hop6: \"100::1\"}\n", "", "name: hole", "mitigators[3]", "not 0", "how it is asked"},
		{"unknown mitigator", "mitigators: [hook, script]", "mitigators: [hock, script]", "hock", "domains[1].mitigators[0]", "not known", "uplinks or mitigators"},
		{"webhook in the clear", `{url: "https://hook`, `{url: "http://hook`, `"http://hook`, "mitigators[0].webhook.url", "leaves this machine", "https"},
		{"webhook of no kind", `{url: "https://hook.example.net/dots"`, `{url: "hook.example.net"`, `"hook.`, "mitigators[0].webhook.url", "no address for HTTP", "https://"},
		{"status of whom", "dots/{id}", "dots/id", `"https://hook.example.net/dots/id"`, "mitigators[0].webhook.status_url", "of which mitigation", "{id}"},
		{"short secret", "secret_file: secret.txt, ca", "secret_file: short.txt, ca", "short.txt", "mitigators[0].webhook.secret_file", "shorter than 16", "openssl rand"},
		{"webhook's key of another", "key: key.pem, timeout: 3s", "key: other.key, timeout: 3s", "other.key", "mitigators[0].webhook.key", "does not match", "belongs to it"},
		{"no such program", "run.sh", "walk.sh", "walk.sh", "mitigators[1].command.program", "no such file", "check the path"},
		{"program that cannot run", "run.sh", "text.txt", "text.txt", "mitigators[1].command.program", "cannot be run", "executable"},
		{"no variable", "[A=b]", "[b]", "b], timeout", "mitigators[1].command.env[0]", "no variable", "NAME=VALUE"},
		{"gobgpd far away", "      ca: ca.pem\n      cert: cert.pem\n      key: key.pem\n", "", "192.0.2.9", "mitigators[2].bgp.address", "not protected", "give ca"},
		{"unknown mode", "mode: flowspec", "mode: magic", "magic", "mitigators[2].bgp.mode", "not known", "blackhole, flowspec"},
		{"no community", `"64500:1",`, `"64500",`, `"64500",`, "mitigators[2].bgp.communities[0]", "no community", "65535:666"},
		{"no marker", `"64500:7:7"`, `"64500:7"`, `"64500:7"`, "mitigators[2].bgp.marker", "no large community", "64500:1:2"},
		{"rate without a number", "      rate: 1000\n", "", "bgp:\n      address", "mitigators[2].bgp.rate", "missing", "action: rate"},
		{"rate of nothing", "action: rate", "action: discard", "1000\n      min", "mitigators[2].bgp.rate", "no effect", "action: rate"},
		{"redirect to nowhere", "action: rate\n      rate: 1000", "action: redirect", "bgp:\n      address", "mitigators[2].bgp.redirect_to", "missing", "redirect"},
		{"no route target", "action: rate\n      rate: 1000", "action: redirect\n      redirect_to: \"4200000000:70000\"", `"4200000000`, "mitigators[2].bgp.redirect_to", "no route target", "64500:1"},
		{"blackhole with an action", "mode: blackhole", "mode: blackhole, action: rate", "rate, next", "mitigators[3].bgp.action", "cannot rate", "flowspec"},
		{"next hop of the other kind", `next_hop6: "100::1"`, "next_hop6: 192.0.2.1", "192.0.2.1}\nclasses", "mitigators[3].bgp.next_hop6", "no address of this kind", "100::1"},
		{"length beyond", "min_length4: 25", "min_length4: 33", "33\n", "mitigators[2].bgp.min_length4", "out of range", "1 to 32"},
		{"class's name twice", "  - {name: visitor, guest: true}", "  - {name: visitor, guest: true}\n  - {name: small}", "small}\n", "classes[2].name", "used twice", "own name"},
		{"unknown class", "class: visitor", "class: visiter", "visiter", "domains[1].clients[1].class", "not known", "class"},
		{"unknown strategy", "strategy: serial", "strategy: parallel", "parallel", "domains[1].strategy", "not known", "failover, serial, partition"},
		{"low above one", "low: 0.5", "low: 1.5", "1.5", "domains[1].recursion.low", "out of range", "0.7"},
		{"low is no number", "low: 0.5", "low: half", "half", "domains[1].recursion.low", "not a number", "0.7"},
		{"long hold", "hold: 1m", "hold: 25h", "25h", "domains[1].recursion.hold", "out of range", "24h"},
		{"half a mapping", ", outside: 198.51.100.0/25", "", "inside: 10.0.0.0/25", "domains[0].nat[0].outside", "missing", "both inside and outside"},
		{"mapping of no prefix", "inside: 10.0.0.128,", "inside: host7,", "host7", "domains[0].nat[1].inside", "no prefix", "192.0.2.0/24"},
		{"mapping of unequal size", "198.51.100.0/25", "198.51.100.0/26", "inside: 10.0.0.0/25", "domains[0].nat[0]", "2^7 addresses", "as many"},
		{"mapping of no port", "8080-8081", "8081-8080", "8081-8080", "domains[0].nat[1].inside_ports", "no port", "8000-8080"},
		{"two tables", "    nat_file: nat.yaml", "    nat_file: nat.yaml\n    nat: [{inside: 10.0.1.1, outside: 198.51.102.1}]", "nat: [{inside: 10.0.1.1", "domains[1].nat", "nat_file, too", "one of the two"},
		{"no such table", "nat_file: nat.yaml", "nat_file: net.yaml", "net.yaml", "domains[1].nat_file", "no such file", "check the path"},
		{"no observers at all", "limits: {max_observers: 5, requests_per_minute: 60}", "limits: {max_observers: 0}", "0}\naaa", "limits.max_observers", "too few", "from 1 on"},
		{"no requests of a domain", "new_cuids_per_hour: 9", "new_cuids_per_hour: 0", "0}\n    clients", "domains[1].limits.new_cuids_per_hour", "too few", "from 1 on"},
		{"nobody to consult", fabric[strings.Index(fabric, "aaa:"):strings.Index(fabric, "store:")], "", "true\n    on_overlap", "domains[1].consult", "nobody to ask", "add aaa"},
		{"two to consult", "  cache: {size", "  http: {url: \"https://opa.example.net/\"}\n  cache: {size", "aaa:", "aaa", "one of radius and http", "keep the one"},
		{"no RADIUS server", `servers: ["192.0.2.18:1812", "192.0.2.19:1812"], `, "", "radius: {", "aaa.radius.servers", "missing", "1812"},
		{"RADIUS without a port", `"192.0.2.18:1812"`, `"192.0.2.18"`, `"192.0.2.18"`, "aaa.radius.servers[0]", "no address", "HOST:PORT"},
		{"many tries", "tries: 2", "tries: 11", "11, dead", "aaa.radius.tries", "out of range", "1 to 10"},
		{"no vendor", "vendor: 12345", "vendor: 0", "0}\n  cache", "aaa.radius.vendor", "out of range", "16777215"},
		{"no cache", "size: 100", "size: 0", "0, allow", "aaa.cache.size", "out of range", "1 to"},
		{"unknown failure", "fail: last-known", "fail: open", "open", "aaa.fail", "not known", "closed, last-known"},
	}
}

// TestTranslationFile holds that a translation file's mistakes are told at their places in it, whoever finds them, and that it can be
// read again by itself.
func TestTranslationFile(t *testing.T) {
	t.Parallel()
	dir := fabricFolder(t)
	name := filepath.Join(dir, "nat.yaml")
	good, err := parseIn(dir, fabric)
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct{ text, want string }{
		"empty":           {"", name + ": the file is empty; write lines: - {inside:"},
		"no mapping":      {"[]\n", name + ": there is no mapping in it"},
		"no YAML":         {"- {inside: [\n", name + ":1:"},
		"settings":        {"nat: []\n", name + ":1:1: a list is expected here"},
		"unknown setting": {"\n- {insid: 10.0.1.0/24, outside: 198.51.101.0/24}\n", name + `:2:4: [0].insid: unknown setting; did you mean "inside"?`},
		"no prefix":       {"- {inside: 10.0.1.0/24, outside: x}\n", name + ":1:34: [0].outside: \"x\" is no prefix"},
		"not its own":     {"- inside: 10.0.1.0/24\n  outside: 198.51.101.0/24\n- inside: 10.9.0.0/24\n  outside: 198.51.102.0/24\n", name + ":3:11: [1].inside: "},
	} {
		testpki.WriteFile(t, name, []byte(tt.text))
		_, parsed := parseIn(dir, fabric)
		_, again := good.Retranslated()
		for _, err := range []error{parsed, again} {
			if es := mistakes(t, err); len(es) == 0 || !strings.HasPrefix(es[0].Error(), tt.want) {
				t.Errorf("%s: %v, want %s", what, err, tt.want)
			}
		}
	}
	testpki.WriteFile(t, name, []byte("- {inside: 10.0.1.0/24, outside: 198.51.103.0/24}\n"))
	next, err := good.Retranslated()
	if err != nil {
		t.Fatal(err)
	}
	before, after := good.words.Domains[1].NAT[0].Outside.String(), next.words.Domains[1].NAT[0].Outside.String()
	if before != "198.51.101.0/24" || after != "198.51.103.0/24" || next.Policy == good.Policy {
		t.Errorf("the translation was %s and is %s", before, after)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Retranslated(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the file: %v", err)
	}
}
