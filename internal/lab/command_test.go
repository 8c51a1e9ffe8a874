package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/ctl"
)

// run runs dotslab and returns its exit code and what it wrote.
func run(t *testing.T, args ...string) (code int, out, notes string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLife)
	defer cancel()
	var o, e strings.Builder
	code = Main(ctx, args, "v1.2.3", IO{Out: &o, Err: &e})
	return code, o.String(), e.String()
}

func TestCommandMistakes(t *testing.T) {
	dir := t.TempDir()
	if code, _, notes := run(t, "pki", "--dir", filepath.Join(dir, "pki")); code != 0 || notes != "" {
		t.Fatalf("pki: %d, %s", code, notes)
	}
	files := []string{"--cert", dir + "/pki/upstream.pem", "--key", dir + "/pki/upstream.key", "--ca", dir + "/pki/ca.pem"}
	with := func(args ...string) []string { return append(args, files...) }
	if err := os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("drop: -1"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--version"}, 0, ""},
		{[]string{"frobnicate"}, 2, "unknown command"},
		{[]string{"pki", "--nonsense"}, 2, "unknown flag"},
		{[]string{"pki", "extra"}, 2, `unexpected "extra"`},
		{[]string{"pki", "--dir", dir + "/pki"}, 1, "there is a PKI already"},
		{[]string{"pki", "--dir", dir + "/pki", "--force"}, 0, ""},
		{[]string{"server", "--listen", "127.0.0.1:0"}, 2, "--cert, --key and --ca are needed"},
		{with("server"), 2, "nowhere to listen"},
		{with("server", "--listen", "127.0.0.1:0", "--scenario", dir+"/bad.yaml"), 1, "negative"},
		{with("server", "--listen", "127.0.0.1:0", "--journal", dir+"/none/journal"), 1, "opening the journal"},
		{with("server", "--listen", "256.0.0.1:0"), 1, "listening"},
		{[]string{"server", "--listen", "127.0.0.1:0", "--cert", "a", "--key", "b", "--ca", "c"}, 1, "loading credentials"},
		{with("load", "--transport", "smoke"), 2, "unknown transport"},
		{with("load", "--profile", "smoke"), 2, "unknown profile"},
		{with("load", "--mode", "smoke"), 2, "unknown mode"},
		{with("load", "--prefix", "smoke"), 2, "smoke"},
		{with("load", "--journal", dir+"/none/journal"), 1, "opening the journal"},
		{with("load", "--server", "127.0.0.1:1", "--transport", "tls", "--duration", "200ms", "--quiet"), 1, "nothing was asked: no session could be made"},
		{[]string{"demo", "--gateway", dir + "/none"}, 2, "looking for the gateway"},
		{[]string{"run"}, 2, "looking for the gateway"},
	}
	for _, tt := range tests {
		code, _, notes := run(t, tt.args...)
		if code != tt.code || !strings.Contains(notes, tt.want) {
			t.Errorf("%q: exit code %d, %q; want %d, %q", tt.args, code, notes, tt.code, tt.want)
		}
	}
}

// TestServerAndLoadCommands puts a load on a server by the two commands, as a user would.
func TestServerAndLoadCommands(t *testing.T) {
	dir := pki(t)
	as := func(name string) []string {
		return []string{"--cert", filepath.Join(dir, name+".pem"), "--key", filepath.Join(dir, name+".key"), "--ca", filepath.Join(dir, "ca.pem")}
	}
	scenario := filepath.Join(dir, "scenario.yaml")
	if err := os.WriteFile(scenario, []byte("max_lifetime: 7\nput: [{mid: 9999, code: 4.03}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "journal")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	var notes strings.Builder
	go func() {
		args := append(as("upstream"), "--listen", address, "--listen-tls", address, "--journal", journal, "--scenario", scenario)
		done <- Main(ctx, append([]string{"server"}, args...), "", IO{Out: &notes, Err: &notes})
	}()
	client := ctl.Config{Server: address, Cert: as("client1")[1], Key: as("client1")[3], CA: as("client1")[5], Transport: ctl.TransportTLS}
	if err := whileAlive(t.Context(), nil, reach(client)); err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"dtls", "tls"} {
		acks := filepath.Join(dir, transport)
		args := append(as("client1"), "--server", address, "--transport", transport, "--mode", "mixed", "--count", "64", "--journal", acks, "--cuid", transport)
		code, out, notes := run(t, append([]string{"load"}, args...)...)
		if code != 0 || !strings.HasPrefix(out, "64 requests in ") || !strings.Contains(out, "2.01: 8\n2.02: 8\n2.04: 24\n2.05: 24\n") {
			t.Errorf("load over %s: %d\n%s%s", transport, code, out, notes)
		}
		if raw, err := os.ReadFile(acks); err != nil || strings.Count(string(raw), "\n") != 2*(8+24+8) {
			t.Errorf("%d lines in the journal of acknowledgements, %v", strings.Count(string(raw), "\n"), err)
		}
	}
	refused := append(as("client1"), "--server", address, "--count", "1", "--mode", "put-refresh", "--first-mid", "9999", "--cuid", "refused")
	if code, _, notes := run(t, append([]string{"load"}, refused...)...); code != 1 || !strings.Contains(notes, "none of 1 answers was a success") {
		t.Errorf("a load that is refused: exit code %d, %s", code, notes)
	}
	stop()
	if code := <-done; code != 0 {
		t.Errorf("server: %d\n%s", code, notes.String())
	}
	f, err := os.Open(journal)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, err := ReadJournal(f)
	if err != nil || len(entries) != 128+1 || entries[0].Lifetime == nil || *entries[0].Lifetime != 7 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// TestEverySecond: a line tells what the second brought, not the sum.
func TestEverySecond(t *testing.T) {
	var out strings.Builder
	tell := (&tool{io: IO{Err: &out}}).everySecond()
	tell(LoadResult{Elapsed: time.Second, Requests: 100, P50: time.Millisecond, P99: 2 * time.Millisecond, Dials: 1})
	tell(LoadResult{Elapsed: 2 * time.Second, Requests: 150, P50: time.Millisecond, P99: 2 * time.Millisecond, Dials: 1})
	want := "   1 s      100 answers/s  p50 1ms  p99 2ms  1 sessions made\n   2 s       50 answers/s  p50 1ms  p99 2ms  1 sessions made\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}
