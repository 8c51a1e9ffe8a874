package config

import (
	"fmt"
	"strings"
	"testing"
)

// mistake is a mistake made on purpose in the good configuration.
type mistake struct {
	name     string
	old, new string // what is changed
	at       string // where it is to be found in the changed text: the part that begins there
	path     string // the setting that is named
	cause    string // a part of the cause
	fix      string // a part of the fix
}

// TestMistakes makes one mistake at a time, and wants it named at its place, with its cause and a fix, and nothing else named.
func TestMistakes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, m := range append(structureMistakes(), append(endpointMistakes(), append(policyMistakes(), behaviourMistakes()...)...)...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(good, m.old) == 0 {
				t.Fatalf("the good configuration has no %q", m.old)
			}
			text := strings.Replace(good, m.old, m.new, 1)
			_, err := parseIn(dir, text)
			es := mistakes(t, err)
			if len(es) != 1 {
				t.Fatalf("found %d mistakes, want 1:\n%v", len(es), err)
			}
			e := es[0]
			line, column := place(t, text, m.at)
			if e.Line != line || e.Column != column {
				t.Errorf("found at %d:%d, want %d:%d (%s)", e.Line, e.Column, line, column, e)
			}
			if e.Path != m.path || !strings.Contains(e.Cause, m.cause) || !strings.Contains(e.Fix, m.fix) {
				t.Errorf("found  %q: %q; %q\nwant   %q: %q; %q", e.Path, e.Cause, e.Fix, m.path, m.cause, m.fix)
			}
			want := fmt.Sprintf("%s/dotsgate.yaml:%d:%d: %s", dir, line, column, m.path)
			if got := e.Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
				t.Errorf("the line is %q, want it to begin with %q", got, want)
			}
		})
	}
}

func structureMistakes() []mistake {
	return []mistake{
		{"unknown section", "\nstore: {path", "\nstorage: {path", "storage:", "storage", "unknown setting", `did you mean "store"?`},
		{"unknown setting", "hop_limit", "hoplimit", "hoplimit", "node.hoplimit", "unknown setting", `did you mean "hop_limit"?`},
		{"unknown setting in a list", "    max_sessions: 100", "    max_session: 100", "max_session:", "listeners[1].max_session", "unknown", `"max_sessions"`},
		{"unknown setting in an alias", "        ports: [80,", "        port: [80,", "port: [", "domains[0].aliases.web.port", "unknown", `"ports"`},
		{"setting like no other", "cuid: per-domain", "colour: red", "colour", "uplinks[0].colour", "unknown setting", "known here: address, cdid, credentials, cuid"},
		{"setting twice", "  hop_limit: 20", "  id: again", "id: again", "", "already defined", "configuration.md"},
		{"no YAML", "node:\n", "node: [\n", "listeners:", "", "", "configuration.md"},
		{"tab as indentation", "  hop_limit: 20", "\thop_limit: 20", "\thop_limit", "", "cannot start any token", "configuration.md"},
		{"text for a number", "hop_limit: 20", "hop_limit: many", "many", "node.hop_limit", "not a whole number", "digits"},
		{"fraction for a number", "hop_limit: 20", "hop_limit: 1.5", "1.5", "node.hop_limit", "not a whole number", "digits"},
		{"text for a truth", "require_alpn: true", "require_alpn: maybe", "maybe", "listeners[1].require_alpn", "not true or false", "without quotes"},
		{"one for a list", "[example.com]", "example.com", "example.com\n    uris", "domains[0].names", "a list is expected", "[A, B]"},
		{"list for settings", "{path: state/dotsgate.db}", "[]", "[]", "store", "settings are expected", "NAME: VALUE"},
		{"list for a text", "id: gw1.example.net", "id: [gw1]", "[gw1]", "node.id", "not a value", "single word"},
		{"settings for a text", "id: gw1.example.net", "id: {a: b}", "a: b", "node.id", "not a value", "single word"},
		{"negative key", "relay_optional: [200]", "relay_optional: [-1]", "-1]", "", "cannot unmarshal", "configuration.md"},
		{"two documents", "limits:\n  max_l", "---\nlimits:\n  max_l", "---", "", "second document", "keep one"},
	}
}

func endpointMistakes() []mistake {
	return []mistake{
		{"no name", "  id: gw1.example.net\n", "", "node:", "node.id", "missing", "gw1.example.net"},
		{"space in the name", "gw1.example.net", `"gw1 example"`, `"gw1 ex`, "node.id", "cannot be used", "without spaces"},
		{"long name", "gw1.example.net", strings.Repeat("g", 61), "ggg", "node.id", "cannot be used", "60"},
		{"hop limit 0", "hop_limit: 20", "hop_limit: 0", "0\nlisteners", "node.hop_limit", "0 is out of range", "1 to 255"},
		{"hop limit 256", "hop_limit: 20", "hop_limit: 256", "256", "node.hop_limit", "256 is out of range", "1 to 255"},
		{"address without port", "0.0.0.0:4646", "0.0.0.0", `"0.0.0.0"`, "listeners[0].address", "is no address", "HOST:PORT"},
		{"address with a long port", "0.0.0.0:4646", "0.0.0.0:70000", `"0.0.0.0:7`, "listeners[0].address", `"70000" is no port`, "4646"},
		{"listening on a name", "127.0.0.1:4647", "gw.example.net:4647", `"gw.`, "listeners[1].address", "is no IP address", "of this machine"},
		{"no address", `    address: "[2001:db8::1]:4646"` + "\n", "", "name: two", "uplinks[1].address", "missing", "HOST:PORT"},
		{"uplink without host", `"[2001:db8::1]:4646"`, `":4646"`, `":4646"`, "uplinks[1].address", "host is missing", "HOST:PORT"},
		{"uplink with port 0", "dots.example.net:4646", "dots.example.net:0", "dots.example.net:0", "uplinks[0].address", `"0" is no port`, "1 to 65535"},
		{"unknown transport", "transport: dtls", "transport: udp", "udp", "listeners[0].transport", `"udp" is not known`, "dtls, tls"},
		{"unknown profile", "[rfc9132, draft04]", "[rfc9132, draft05]", "draft05", "listeners[0].profiles[1]", "not known", "rfc9132, draft04"},
		{"unknown uplink profile", "profile: draft04", "profile: rfc8782", "rfc8782", "uplinks[1].profile", "not known", "rfc9132, draft04"},
		{"negative bound", "max_sessions: 100", "max_sessions: -1", "-1", "listeners[1].max_sessions", "negative", "0"},
		{"too many handshakes", "max_handshakes: 50", "max_handshakes: 65537", "65537", "listeners[1].max_handshakes", "more than 65536", "0"},
		{"negative handshakes", "max_handshakes: 50", "max_handshakes: -1", "-1", "listeners[1].max_handshakes", "negative", "0"},
		{"negative rate", "rate: 10", "rate: -1", "-1", "listeners[1].source.rate", "negative", "0"},
		{"unknown record path", "record_path: pion", "record_path: openssl", "openssl", "listeners[0].record_path", "not known", "own, pion"},
		{"record path of TLS", "max_handshakes: 50", "record_path: own", "own", "listeners[1].record_path", "no such choice", "out"},
		{"record path of TLS uplink", "profile: draft04", "record_path: own", "own", "uplinks[1].record_path", "no such choice", "out"},
		{"small path MTU", "path_mtu: 576", "path_mtu: 575", "575", "listeners[0].path_mtu", "out of range", "576 to 1500"},
		{"path MTU of TLS", "max_handshakes: 50", "path_mtu: 1280", "1280", "listeners[1].path_mtu", "no such setting", "out"},
		{"no cookie secret", "hop_limit: 20", "cookie_secret_file: nowhere", "nowhere", "node.cookie_secret_file", "no such file", "the path"},
		{"same listener twice", `"127.0.0.1:4647"` + "\n    transport: tls", `"127.0.0.1:4646"` + "\n    transport: dtls", `"127.0.0.1:4646"`, "listeners[1].address", "same port as listeners[0]", "remove one"},
		{"uplink is ourselves", "dots.example.net:4646", "localhost:4646", "localhost", "uplinks[0].address", "reaches listeners[0]: requests would loop", "upstream server"},
		{"uplink is ourselves over TLS", `"[2001:db8::1]:4646"`, `"127.0.0.1:4647"`, "\"127.0.0.1:4647\"\n    transport: tls\n    profile", "uplinks[1].address", "reaches listeners[1]", "upstream"},
		{"no such certificate", "cert: cert.pem", "cert: none.pem", "none.pem", "credentials.cert", "no such file or directory", "relative to the configuration file"},
		{"certificate is a folder", "cert: cert.pem", "cert: .", ".\n  key", "credentials.cert", "folder", "check the path"},
		{"no certificate named", "  cert: cert.pem\n", "", "credentials:", "credentials.cert", "missing", "name a PEM file"},
		{"key of another", "key: key.pem", "key: other.key", "other.key", "credentials.key", "private key does not match", "belongs to it"},
		{"key is no PEM", "key: key.pem", "key: text.txt", "text.txt", "credentials.key", "failed to find any PEM data", "PEM key"},
		{"authorities are no PEM", "ca: ca.pem", "ca: text.txt", "text.txt", "credentials.ca", "no certificate in it", "authorities"},
		{"authorities are broken", "ca: ca.pem", "ca: bad.pem", "bad.pem", "credentials.ca", "cannot be read", "whole PEM"},
		{"no revocation list", "  psk_file", "  crl: ca.pem\n  psk_file", "ca.pem\n  psk", "credentials.crl", "no revocation list", "openssl ca -gencrl"},
		{"no such key file", "psk_file: psk.txt", "psk_file: none.txt", "none.txt", "credentials.psk_file", "no such file", "IDENTITY:HEXKEY"},
		{"identity without key", "  psk_file: psk.txt", "  psk_file: psk.txt\n  psk_identity: other", "other", "credentials.psk_identity", `no key for "other"`, "add a line"},
		{"identity without file", "  psk_file: psk.txt", "  psk_identity: other", "other", "credentials.psk_identity", "no psk_file", "name the file"},
		{"TLS with a pre-shared key", "    server_name: two", "    credentials: {psk_file: psk.txt, psk_identity: detector}\n    server_name: two", "tls\n    profile", "uplinks[1].transport", "TLS needs a certificate", "use dtls"},
		{"unknown uplink transport", "transport: auto", "transport: sctp", "sctp", "uplinks[0].transport", `"sctp" is not known`, "auto, dtls, tls"},
		{"both transports with a key to show", "    probe_udp: 1h", "    credentials: {psk_file: psk.txt, psk_identity: detector}\n    probe_udp: 1h", "auto", "uplinks[0].transport", "cannot be shown over TLS", "use dtls"},
		{"UDP probed too often", "probe_udp: 1h", "probe_udp: 4m59s", "4m59s", "uplinks[0].probe_udp", "out of range", "5m0s"},
		{"UDP probed with one transport", "    profile: draft04", "    probe_udp: 1h\n    profile: draft04", "1h\n    profile", "uplinks[1].probe_udp", "only one transport", "take it out"},
		{"TLS address with one transport", "    profile: draft04", "    tls_address: \"a:1\"\n    profile: draft04", `"a:1"`, "uplinks[1].tls_address", "only one transport", "take it out"},
		{"TLS address without port", "dots.example.net:443", "dots.example.net", "dots.example.net\n    probe", "uplinks[0].tls_address", "is no address", "HOST:PORT"},
		{"TLS address is ourselves", "dots.example.net:443", "127.0.0.1:4647", "127.0.0.1:4647\n    probe", "uplinks[0].tls_address", "reaches listeners[1]", "upstream"},
		{"redirects", "redirects: ignore", "redirects: never", "never", "uplinks[0].redirects", "not known", "follow, ignore"},
		{"long server name", "server_name: two.example.net", "server_name: " + strings.Repeat("x", 256), "xxx", "uplinks[1].server_name", "256 bytes are too long", "255"},
	}
}

func policyMistakes() []mistake {
	return []mistake{
		{"uplink's name twice", "name: two", "name: one", "one\n    address: \"[", "uplinks[1].name", `"one" is used twice`, "its own name"},
		{"uplink without name", "  - name: two\n    address", "  - address", "address: \"[2001", "uplinks[1].name", "is missing", "give the uplink a name"},
		{"unknown cuid", "cuid: per-domain", "cuid: per-gateway", "per-gateway", "uplinks[0].cuid", "not known", "aggregate, per-domain, per-client"},
		{"mandatory key relayed", "[200]", "[200, 5]", "5]", "uplinks[0].relay_optional[1]", "5 is no comprehension-optional key", "128 to 255"},
		{"domain's name twice", "  - name: b\n", "  - name: a\n", "a\n    uplinks: [two]", "domains[1].name", `"a" is used twice`, "its own name"},
		{"unknown uplink", "uplinks: [two]", "uplinks: [three]", "three", "domains[1].uplinks[0]", `"three" is not known`, "one of the uplinks"},
		{"uplink not named", "    uplinks: [two]\n", "", "name: b", "domains[1].uplinks", "several uplinks", "one of the uplinks"},
		{"no prefix", "192.0.2.0/24", "192.0.2.0", "192.0.2.0,", "domains[0].prefixes[0]", "is no prefix", "ADDRESS/LENGTH"},
		{"host bits", "198.51.100.0/24", "198.51.100.1/24", "198.51.100.1", "domains[1].prefixes[0]", "host bits", "198.51.100.0/24"},
		{"loopback", "198.51.100.0/24", "127.0.0.0/8", "127.0.0.0/8", "domains[1].prefixes[0]", "nobody owns", "domain's own"},
		{"domains overlap", "198.51.100.0/24", "192.0.2.0/25", "192.0.2.0/25", "domains[1].prefixes[0]", `overlaps 192.0.2.0/24 of domain "a"`, "take it out of one"},
		{"no domain at all", good[strings.Index(good, "domains:"):strings.Index(good, "\nlimits:")], "domains: []", "domains: []", "domains", "missing", "who may ask for what"},
		{"domain without prefix", "    prefixes: [198.51.100.0/24]\n", "", "name: b", "domains[1].prefixes", "there is none", "what the domain owns"},
		{"no host name", "[example.com]", "[exa mple.com]", "exa mple", "domains[0].names[0]", "is no host name", "example.com"},
		{"no URI", "https://www.example.com/", "www.example.com", `"www.`, "domains[0].uris[0]", "no URI prefix", "https://"},
		{"alias of another's", "192.0.2.80/32]\n", "203.0.113.1/32]\n", "web:", "domains[0].aliases.web", "", "what its domain owns"},
		{"alias with a bad port", "8000-8080", "8080-8000", "8080-8000", "domains[0].aliases.web.ports[1]", "is no port", "443 or 8000-8080"},
		{"alias with a bad protocol", "protocols: [6]", "protocols: [256]", "256", "domains[0].aliases.web.protocols[0]", "out of range", "0 to 255"},
		{"overlap rule", "on_overlap: reject-new", "on_overlap: keep-both", "keep-both", "domains[1].on_overlap", "share a cuid", "use merge"},
		{"unknown DNS rule", "on_dns_failure: allow", "on_dns_failure: perhaps", "perhaps", "domains[1].on_dns_failure", "not known", "refuse or allow"},
		{"client's name twice", "name: guest\n", "name: gateway\n", "gateway\n        guest", "domains[1].clients[0].name", "used in domain", "its own name"},
		{"client without credential", "{cert_names: [guest.example.net]}", "{}", "credentials: {}", "domains[1].clients[0].credentials", "there is none", "certificate's name"},
		{"credential twice", "[guest.example.net]", "[detector.example.net]", "detector.example.net]}", "domains[1].clients[0].credentials.cert_names[0]", "given twice", "belongs to one client"},
		{"no SHA-256", `"0123456789abcdef`, `"123456789abcdef`, `"123`, "domains[0].clients[1].credentials.spki_sha256[0]", "no SHA-256", "openssl"},
		{"long client name", "name: detector\n", "name: " + strings.Repeat("d", 256) + "\n", "ddd", "domains[0].clients[0].name", "256 bytes", "at most 255"},
		{"name that moves the cursor", "name: detector\n", `name: "a\eb"` + "\n", `"a\e`, "domains[0].clients[0].name", "cannot be shown", "letters"},
		{"long domain name", "  - name: b\n", "  - name: " + strings.Repeat("b", 300) + "\n", "bbb", "domains[1].name", "300 bytes", "at most 255"},
		{"long uplink name", "name: one\n", "name: " + strings.Repeat("o", 300) + "\n", "ooo", "uplinks[0].name", "300 bytes", "at most 255"},
		{"lifetime 0", "max_mitigations: 10", "max_lifetime: 0", "0\n  - name: b", "domains[0].limits.max_lifetime", "0 is no finite lifetime", "4294967295"},
		{"too few mitigations", "max_mitigations: 10", "max_mitigations: 0", "0\n  - name: b", "domains[0].limits.max_mitigations", "too few", "from 1 on"},
		{"limit below nothing", "indefinite_grant: 3600", "max_names_in_target: -1", "-1", "limits.max_names_in_target", "negative", "from 1 on"},
	}
}

func behaviourMistakes() []mistake {
	return []mistake{
		{"time without unit", "answer_wait: 1s", "answer_wait: 1", "1\n  terminating", "mitigation.answer_wait", "is no duration", "500ms"},
		{"long wait", "answer_wait: 1s", "answer_wait: 2m", "2m", "mitigation.answer_wait", "out of range", "10ms to 1m0s"},
		{"long end", "terminating_max: 20s", "terminating_max: 301s", "301s", "mitigation.terminating_max", "out of range", "1s to 5m0s"},
		{"end shorter than its half", "terminating_max: 20s", "terminating_max: 5s", "5s\n  when", "mitigation.terminating_max", "shorter than terminating", "as long"},
		{"unknown rule when down", "when_down: refuse", "when_down: wait", "wait\n  mirror", "mitigation.when_down", "not known", "hold, refuse"},
		{"quick heartbeat", "heartbeat_interval: 15s", "heartbeat_interval: 100ms", "100ms", "session.heartbeat_interval", "out of range", "1s to 4m0s"},
		{"fraction of a second", "heartbeat_interval: 15s", "heartbeat_interval: 1500ms", "1500ms", "session.heartbeat_interval", "whole seconds", "2s"},
		{"no heartbeat may miss", "missing_hb_allowed: 5", "missing_hb_allowed: 1", "1\ndns", "session.missing_hb_allowed", "out of range", "2 to 1000"},
		{"resolver without port", "192.0.2.53:853", "192.0.2.53", "192.0.2.53", "dns.server", "no address", "HOST:PORT"},
		{"unknown DNS transport", "transport: dot", "transport: doh", "doh", "dns.transport", "not known", "udp, tcp, dot"},
		{"resolver's authorities", "  tls_name", "  ca: none.pem\n  tls_name", "none.pem", "dns.ca", "no such file", "check the path"},
		{"no address of a name", "[192.0.2.80]", "[192.0.2.800]", "192.0.2.800", "dns.static.www.example.com[0]", "is no address", "IP address"},
		{"no folder for the store", "state/dotsgate.db", "none/dotsgate.db", "none/", "store.path", "there is no folder", "make it"},
		{"file for the store's folder", "state/dotsgate.db", "text.txt/dotsgate.db", "text.txt/", "store.path", "is no folder", "in a folder"},
		{"folder beyond a file", "state/dotsgate.db", "text.txt/a/dotsgate.db", "text.txt/", "store.path", "cannot look at", "check the path"},
		{"metrics for all", `metrics: {address: "127`, `metrics: {address: "192`, `"192`, "metrics.address", "reachable from outside", "loopback"},
		{"long socket", "admin.sock", strings.Repeat("a", 120), "aaa", "admin.socket", "longer than", "100 characters"},
		{"unknown level", "level: debug", "level: trace", "trace", "log.level", "not known", "debug, info, warn, error"},
		{"unknown format", "format: json", "format: xml", "xml", "log.format", "not known", "text, json"},
	}
}
