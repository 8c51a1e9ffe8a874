package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func TestReadPSKs(t *testing.T) {
	dir := folder(t)
	for _, tt := range []struct {
		name, text string
		want       map[string][]byte
		err        string
	}{
		{"none", "", map[string][]byte{}, ""},
		{"spaces and comments", "  # a\n\n  a:00000000000000000000000000000000  \n", map[string][]byte{"a": make([]byte, 16)}, ""},
		{"identity with colons", "urn:x:00000000000000000000000000000000\n", map[string][]byte{"urn:x": make([]byte, 16)}, ""},
		{"long key", "a:" + strings.Repeat("00", 64), map[string][]byte{"a": make([]byte, 64)}, ""},
		{"short key", "a:0000\n", nil, "line 1 is no identity with a key"},
		{"no key", "\na\n", nil, "line 2 is no identity"},
		{"no identity", ":00000000000000000000000000000000", nil, "line 1 is no identity"},
		{"no hex", "a:" + strings.Repeat("xy", 16), nil, "line 1 is no identity"},
		{"twice", "a:" + strings.Repeat("00", 16) + "\na:" + strings.Repeat("01", 16), nil, "line 2 has an identity for the second time"},
		{"endless line", "a:" + strings.Repeat("00", 1<<16), nil, "token too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(tt.name, " ", "-"))
			testpki.WriteFile(t, file, []byte(tt.text))
			keys, err := ReadPSKs(file)
			if diff := cmp.Diff(tt.want, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestPSKErrorsTellNoKey holds that each bad line is told, and nothing of what is in it.
func TestPSKErrorsTellNoKey(t *testing.T) {
	dir := folder(t)
	_, err := parseIn(dir, strings.Replace(good, "psk.txt", "bad.psk", 1))
	es := mistakes(t, err)
	if len(es) != 3 {
		t.Fatalf("%d mistakes, want 3:\n%v", len(es), err)
	}
	for i, line := range []string{"line 1 ", "line 3 ", "line 5 "} {
		if !strings.Contains(es[i].Cause, line) || es[i].Path != "credentials.psk_file" {
			t.Errorf("mistake %d is %v, want %s", i, es[i], line)
		}
	}
	// The folder's name is a random number, which may hold the key's digits.
	if strings.Contains(strings.ReplaceAll(err.Error(), dir, ""), "0001") {
		t.Errorf("a key is told: %v", err)
	}
}

// TestPSKOnly holds that a gateway may do without certificates, where everything is DTLS.
func TestPSKOnly(t *testing.T) {
	const text = `
node: {id: gw}
listeners: [{address: ":4646"}]
credentials: {psk_file: psk.txt, psk_identity: detector}
uplinks: [{name: up, address: "dots.example.net:4646"}]
domains: [{name: a, prefixes: [192.0.2.0/24], clients: [{name: c, credentials: {psk_identities: [c]}}]}]
`
	dir := folder(t)
	c, err := parseIn(dir, text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Credentials.Cert != "" || c.Uplinks[0].Credentials.PSKIdentity != "detector" || len(c.Credentials.PSKs) != 2 {
		t.Errorf("credentials: %+v", c.Uplinks[0].Credentials)
	}
	_, err = parseIn(dir, strings.Replace(text, `":4646"`, `":4646", transport: tls`, 1))
	if es := mistakes(t, err); len(es) != 1 || es[0].Path != "listeners[0].transport" {
		t.Errorf("TLS without a certificate: %v", err)
	}
	_, err = parseIn(dir, strings.Replace(text, "psk_identity: detector", "crl: crl.pem", 1))
	if es := mistakes(t, err); len(es) != 2 || es[0].Path != "credentials.crl" || es[1].Path != "uplinks[0].credentials" {
		t.Errorf("a revocation list without certificates, and nothing to show upstream: %v", err)
	}
}
