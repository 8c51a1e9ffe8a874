package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

func TestGood(t *testing.T) {
	dir := folder(t)
	c, err := parseIn(dir, good)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	credentials := Credentials{
		Cert: in("cert.pem"), Key: in("key.pem"), CA: in("ca.pem"), PSKFile: in("psk.txt"),
		PSKs: map[string][]byte{
			"detector": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
			"a:b":      {16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
		},
	}
	want := &Config{
		File: in("dotsgate.yaml"), NodeID: "gw1.example.net", HopLimit: 20,
		Listeners: []Listener{
			{Address: "0.0.0.0:4646", Transport: "dtls", Profiles: []string{"rfc9132", "draft04"}, RecordPath: "pion", PathMTU: 576},
			{Address: "127.0.0.1:4647", Transport: "tls", Profiles: []string{"rfc9132"}, RequireALPN: true, MaxSessions: 100, Handshakes: 50, Source: SourceLimits{Rate: 10, Burst: 30, Handshakes: 20}},
		},
		Credentials: credentials,
		Uplinks: []Uplink{
			{Name: "one", Address: "dots.example.net:4646", ServerName: "", Transport: "auto", TLSAddress: "dots.example.net:443", ProbeUDP: time.Hour, Redirects: false, Profile: "rfc9132", Credentials: credentials, RecordPath: "own"},
			{Name: "two", Address: "[2001:db8::1]:4646", ServerName: "two.example.net", Transport: "tls", Redirects: true, Profile: "draft04", Credentials: credentials},
		},
		Mitigation: Mitigation{
			AnswerWait: time.Second, Terminating: 10 * time.Second, TerminatingMax: 20 * time.Second,
			WhenDown: "refuse", Mirror: false, NotifyEvery: 60 * time.Second,
		},
		Session: Session{HeartbeatInterval: 15 * time.Second, MissingHBAllowed: 5, MaxAge: time.Hour},
		DNS: DNS{
			Server: "192.0.2.53:853", Transport: "dot", TLSName: "dns.example.net",
			Static: map[string][]netip.Addr{"www.example.com": {netip.MustParseAddr("192.0.2.80")}},
		},
		Store: in("state/dotsgate.db"), Metrics: "127.0.0.1:9464", Admin: in("admin.sock"), Log: Log{Level: "debug", Format: "json"},
	}
	equalAddr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, c, cmpopts.IgnoreFields(Config{}, "Policy"), cmpopts.IgnoreUnexported(Config{}), equalAddr); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	checkPolicy(t, c.Policy)
}

// checkPolicy sees that the words about domains and clients arrived.
func checkPolicy(t *testing.T, p *policy.Policy) {
	t.Helper()
	for _, tt := range []struct {
		cred             dots.Credential
		client, domain   string
		mitigates, trust bool
	}{
		{dots.Credential{SPKI: []byte{1}, Names: []string{"detector.example.net"}}, "detector", "a", true, false},
		{dots.Credential{PSKIdentity: "detector"}, "detector", "a", true, false},
		{dots.Credential{SPKI: []byte{1}, Names: []string{"guest.example.net"}}, "guest", "b", false, false},
		{dots.Credential{SPKI: []byte{1}, Names: []string{"nobody.example.net"}}, "", "", false, false},
	} {
		client, ok := p.Identify(tt.cred)
		if client != tt.client || ok != (client != "") || p.Domain(client) != tt.domain || p.MayMitigate(client) != tt.mitigates || p.TrustsCDID(client) != tt.trust {
			t.Errorf("%+v is %q of %q", tt.cred, client, p.Domain(client))
		}
	}
	if !p.TrustsCDID("gateway") || p.CUIDMode("one") != policy.CUIDPerDomain || p.CUIDMode("two") != policy.CUIDAggregate {
		t.Error("a trusted gateway or the cuids are not as configured")
	}
}

// TestDefaults holds what a configuration is that says as little as it may.
func TestDefaults(t *testing.T) {
	dir := folder(t)
	c, err := parseIn(dir, Example)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Mitigation{
		AnswerWait: 2 * time.Second, Terminating: 120 * time.Second, TerminatingMax: 300 * time.Second,
		WhenDown: "hold", Mirror: true, NotifyEvery: time.Minute,
	}, c.Mitigation); diff != "" {
		t.Errorf("mitigation (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Session{HeartbeatInterval: 30 * time.Second, MissingHBAllowed: 15, MaxAge: time.Hour}, c.Session); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	if !c.HideTopology {
		t.Error("the uplinks' topology is shown")
	}
	if c.HopLimit != 16 || c.Metrics != "127.0.0.1:9464" || c.Admin != DefaultSocket || c.Log != (Log{"info", "text"}) || c.DNS.Transport != "udp" {
		t.Errorf("defaults: %+v", c)
	}
	if c.Store != filepath.Join(dir, "dotsgate.db") {
		t.Errorf("the store is at %s", c.Store)
	}
}

// TestAbsoluteAndOff holds that absolute paths stay, and that what can be turned off can.
func TestAbsoluteAndOff(t *testing.T) {
	dir := folder(t)
	absolute := filepath.Join(t.TempDir(), "x.db")
	text := strings.NewReplacer("state/dotsgate.db", absolute, `metrics: {address: "127.0.0.1:9464"}`, `metrics: {address: ""}`,
		"socket: admin.sock", `socket: ""`).Replace(good)
	c, err := parseIn(dir, text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Store != absolute || c.Metrics != "" || c.Admin != "" {
		t.Errorf("store %q, metrics %q, admin %q", c.Store, c.Metrics, c.Admin)
	}
}

func TestLoadFailures(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for name, cause := range map[string]string{filepath.Join(dir, "none.yaml"): "no such file", dir: "folder", large: "larger than", "/dev/zero": "larger than"} {
		_, err := Load(name)
		es := mistakes(t, err)
		if len(es) != 1 || es[0].File != name || es[0].Line != 0 || !strings.Contains(es[0].Cause, cause) || !strings.Contains(es[0].Fix, "config --example") {
			t.Errorf("loading %s: %v, want %q", name, err, cause)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret.yaml")
	unreadable(t, name)
	if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("loading an unreadable file: %v", err)
	}
}

// TestAllMistakesInOrder holds that one run tells of everything, from top to bottom.
func TestAllMistakesInOrder(t *testing.T) {
	text := strings.NewReplacer("hop_limit: 20", "hop_limit: 0", "key: key.pem", "key: none.pem", "198.51.100.0/24", "198.51.100.0/33",
		"[192.0.2.0/24,", "[192.0.2.1/24,", "level: debug", "level: loud", "max_sessions", "max_sesions", "cuid: per-domain", "cuid: mine").Replace(good)
	_, err := parseIn(folder(t), text)
	var paths []string
	es := mistakes(t, err)
	for _, e := range es {
		paths = append(paths, e.Path)
	}
	want := []string{
		"node.hop_limit", "listeners[1].max_sesions", "credentials.key", "uplinks[0].cuid", "domains[0].prefixes[0]",
		"domains[1].prefixes[0]", "log.level",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s\n%v", diff, err)
	}
	if !slices.IsSortedFunc(es, func(a, b *Error) int { return a.Line - b.Line }) {
		t.Errorf("not in the order of lines:\n%v", err)
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != len(want) {
		t.Errorf("%d lines for %d mistakes", got, len(want))
	}
}

// TestEmpty holds that an empty file says where to begin.
func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		_, err := Parse("x.yaml", []byte(text))
		if es := mistakes(t, err); len(es) != 1 || !strings.Contains(es[0].Fix, "config --example") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestNearlyEmpty holds that everything that is needed is asked for at once.
func TestNearlyEmpty(t *testing.T) {
	_, err := Parse("x.yaml", []byte("log: {level: info}\n"))
	var paths []string
	for _, e := range mistakes(t, err) {
		paths = append(paths, e.Path)
	}
	for _, want := range []string{"node.id", "listeners", "credentials.cert", "credentials.key", "credentials.ca", "uplinks", "domains"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is not asked for: %v", want, paths)
		}
	}
}

// TestAnchors holds that YAML's own ways of saying a thing once work, and are checked.
func TestAnchors(t *testing.T) {
	dir := folder(t)
	text := strings.NewReplacer(
		"limits:\n      max_mitigations: 10", "limits: &few\n      max_mitigations: 10",
		"on_overlap: reject-new", "limits: *few",
	).Replace(good)
	if _, err := parseIn(dir, text); err != nil {
		t.Error(err)
	}
	_, err := parseIn(dir, strings.Replace(text, "max_mitigations: 10", "max_mitigation: 10", 1))
	if es := mistakes(t, err); len(es) != 1 || es[0].Path != "domains[0].limits.max_mitigation" {
		t.Errorf("a mistake under an anchor: %v", err)
	}
}
