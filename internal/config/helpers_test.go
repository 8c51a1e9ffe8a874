package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// good is a configuration without a mistake that uses much of what there is. The table of mistakes changes it line by line.
const good = `node:
  id: gw1.example.net
  hide_topology: false
  hop_limit: 20
listeners:
  - {address: "0.0.0.0:4646", transport: dtls, profiles: [rfc9132, draft04], record_path: pion, path_mtu: 576}
  - address: "127.0.0.1:4647"
    transport: tls
    max_sessions: 100
    max_handshakes: 50
    source: {rate: 10, burst: 30, handshakes: 20}
    require_alpn: true
credentials:
  cert: cert.pem
  key: key.pem
  ca: ca.pem
  psk_file: psk.txt
uplinks:
  - name: one
    address: dots.example.net:4646
    transport: auto
    tls_address: dots.example.net:443
    probe_udp: 1h
    redirects: ignore
    cuid: per-domain
    relay_optional: [200]
  - name: two
    address: "[2001:db8::1]:4646"
    transport: tls
    profile: draft04
    server_name: two.example.net
domains:
  - name: a
    uplinks: [one]
    prefixes: [192.0.2.0/24, "2001:db8:1::/48"]
    names: [example.com]
    uris: ["https://www.example.com/"]
    aliases:
      web:
        prefixes: [192.0.2.80/32]
        ports: [80, 8000-8080]
        protocols: [6]
    clients:
      - name: detector
        credentials:
          cert_names: [detector.example.net]
          psk_identities: [detector]
      - name: gateway
        trusted_gateway: true
        credentials:
          spki_sha256: ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
    limits:
      max_mitigations: 10
  - name: b
    uplinks: [two]
    prefixes: [198.51.100.0/24]
    on_overlap: reject-new
    on_dns_failure: allow
    clients:
      - name: guest
        guest: true
        credentials: {cert_names: [guest.example.net]}
limits:
  max_lifetime: 86400
  allow_indefinite: false
  indefinite_grant: 3600
mitigation:
  answer_wait: 1s
  terminating: 10s
  terminating_max: 20s
  when_down: refuse
  mirror: false
session:
  heartbeat_interval: 15s
  missing_hb_allowed: 5
dns:
  server: 192.0.2.53:853
  transport: dot
  tls_name: dns.example.net
  static:
    www.example.com: [192.0.2.80]
store: {path: state/dotsgate.db}
metrics: {address: "127.0.0.1:9464"}
admin: {socket: admin.sock}
log: {level: debug, format: json}
`

// folder makes a folder with the files that the configurations of the tests name.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	authority := testpki.New(t, "test")
	leaf := authority.Server()
	testpki.Files(t, dir, authority, leaf)
	for name, text := range map[string][]byte{
		"gateway.pem": leaf.CertPEM(), "gateway.key": leaf.KeyPEM(), "other.key": authority.Server().KeyPEM(),
		"crl.pem": authority.CRL(), "text.txt": []byte("text\n"), "bad.pem": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		"psk.txt": []byte("# keys\n\ndetector:000102030405060708090a0b0c0d0e0f\na:b:101112131415161718191a1b1c1d1e1f\n"),
		"bad.psk": []byte("detector:0001\n\nnothing\ndetector:000102030405060708090a0b0c0d0e0f\ndetector:000102030405060708090a0b0c0d0e0f\n"),
	} {
		testpki.WriteFile(t, filepath.Join(dir, name), text)
	}
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// parseIn parses a text as if it were a file of a folder.
func parseIn(dir, text string) (*Config, error) {
	return Parse(filepath.Join(dir, "dotsgate.yaml"), []byte(text))
}

// mistakes returns what Parse found.
func mistakes(t testing.TB, err error) Errors {
	t.Helper()
	var es Errors
	if err != nil && !errors.As(err, &es) {
		t.Fatalf("error of type %T: %v", err, err)
	}
	return es
}

// place finds the line and column of the first occurrence of a part of a text, both from 1.
func place(t testing.TB, text, part string) (line, column int) {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("the text has no %q", part)
	}
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// unreadable makes a file that may not be read, and skips the test where everything may be.
func unreadable(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	if err := os.WriteFile(name, []byte("x"), 0o000); err != nil {
		t.Fatal(err)
	}
}
