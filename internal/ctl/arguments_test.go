package ctl

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/google/go-cmp/cmp"
)

func TestRequestOfFlags(t *testing.T) {
	w := wanted{
		prefixes: []string{"192.0.2.0/24", "2001:db8::1"}, ports: []string{"80", "8000-8080"}, protocols: []string{"TCP", "udp", "icmp", "0", "255"},
		fqdns: []string{"a.example"}, uris: []string{"https://a.example/"}, aliases: []string{"web"}, lifetime: -1, onLoss: true, stay: true,
	}
	got, err := w.request()
	if err != nil {
		t.Fatalf("request() = %v", err)
	}
	want := dots.Request{
		Target: dots.Target{
			Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			Ports:    []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 8000, Upper: 8080}}, Protocols: []uint8{6, 17, 1, 0, 255},
			FQDNs: []string{"a.example"}, URIs: []string{"https://a.example/"}, Aliases: []string{"web"},
		},
		Lifetime: dots.Some(dots.Indefinite), OnSignalLoss: true,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWrongFlags(t *testing.T) {
	good := wanted{prefixes: []string{"192.0.2.0/24"}, lifetime: 60}
	if _, err := good.request(); err != nil {
		t.Fatalf("a good request: %v", err)
	}
	tests := []struct {
		name   string
		change func(*wanted)
		want   string
	}{
		{"nothing", func(w *wanted) { w.prefixes = nil }, "nothing to protect"},
		{"ports alone", func(w *wanted) { w.prefixes, w.ports = nil, []string{"80"} }, "nothing to protect"},
		{"no prefix", func(w *wanted) { w.prefixes = []string{"example"} }, `prefix "example"`},
		{"an address with a zone", func(w *wanted) { w.prefixes = []string{"fe80::1%eth0"} }, `prefix "fe80::1%eth0"`},
		{"bits beyond", func(w *wanted) { w.prefixes = []string{"192.0.2.9/24"} }, "did you mean 192.0.2.0/24?"},
		{"a port beyond", func(w *wanted) { w.ports = []string{"65536"} }, `port "65536"`},
		{"a range upside down", func(w *wanted) { w.ports = []string{"9-8"} }, `port "9-8"`},
		{"half a range", func(w *wanted) { w.ports = []string{"9-"} }, `port "9-"`},
		{"a protocol beyond", func(w *wanted) { w.protocols = []string{"256"} }, `protocol "256"`},
		{"a lifetime of 0", func(w *wanted) { w.lifetime = 0 }, "lifetime"},
		{"a lifetime of -2", func(w *wanted) { w.lifetime = -2 }, "lifetime"},
		{"a lifetime beyond", func(w *wanted) { w.lifetime = 1 << 32 }, "lifetime"},
		{"armed without a session", func(w *wanted) { w.onLoss = true }, "--stay"},
	}
	for _, tt := range tests {
		w := good
		tt.change(&w)
		if _, err := w.request(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestExitCode(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("disk full"), 1},
		{ErrUsage, 2},
		{lost(errors.New("x"), time.Now()), 3},
		{&AnswerError{Code: dots.CodeConflict}, 4},
		{fmt.Errorf("%w: it is terminated", ErrOver), 4},
		{&AnswerError{Code: dots.CodeUnavailable}, 5},
		{&AnswerError{Code: dots.CodeAlternateServer}, 5}, // of the older dialect: another server is to be asked
		{&AnswerError{Code: dots.CodeContent}, 5},         // to a PUT it means nothing
		{errors.Join(&AnswerError{Code: dots.CodeNotFound}, lost(errors.New("x"), time.Now())), 4},
	}
	for _, tt := range tests {
		if got := ExitCode(tt.err); got != tt.want {
			t.Errorf("ExitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestReadPSKs(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		name := filepath.Join(dir, "psks")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	keys, err := ReadPSKs(write("# comment\n\n a:b:0102 \nc:FF\n"))
	if err != nil {
		t.Fatalf("ReadPSKs() = %v", err)
	}
	if diff := cmp.Diff(map[string][]byte{"a:b": {1, 2}, "c": {255}}, keys); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for text, want := range map[string]string{
		"a": "line 1: not IDENTITY:HEXKEY", ":01": "line 1: not IDENTITY", "a:": "line 1: the key", "\na:xy": "line 2: the key",
		"a:01" + strings.Repeat("\n", maxFile): "too large",
	} {
		if _, err := ReadPSKs(write(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadPSKs(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestParseStatus(t *testing.T) {
	for s, want := range map[string]dots.Status{"": 0, "mitigated": 2, "2": 2, "armed": 8, "8": 8} {
		if got, err := parseStatus(s); got != want || err != nil {
			t.Errorf("parseStatus(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0", "9", "Mitigated", "gone"} {
		if got, err := parseStatus(s); !errors.Is(err, ErrUsage) {
			t.Errorf("parseStatus(%q) = %v, %v", s, got, err)
		}
	}
}
