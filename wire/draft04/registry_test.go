package draft04

import (
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// place puts the value of an attribute where a message has it.
type place func(key, value any) m

func inEntry(key, value any) m { return scope(m{3: 7, 12: 60, 21: 1, key: value}) }

func inRequest(key, value any) m { return scope(m{3: 7, 9: a{"a.example"}, key: value}) }

func inPorts(key, value any) m { return inEntry(5, a{m{6: 1, key: value}}) }

func inConfig(key, value any) m { return m{14: m{15: 91, 26: 1, key: value}} }

func inRange(key, value any) m { return m{15: m{key: value}} }

func inFactor(key, value any) m { return m{18: m{key: value}} }

func inAnswer(key, value any) m { return m{key: value} }

func inRedirect(key, value any) m { return m{"alt-server": "a.example", key: value} }

func inRecord(key, value any) m {
	return m{"alt-server": "a.example", "alt-server-record": a{m{"addr": "192.0.2.1", "ttl": 1, key: value}}}
}

// How a message with an attribute is read.
const (
	byReports = iota
	byConfigAnswer
	byRedirect
	byRequest
	byConfig
)

func readAs(t *testing.T, by int, message m) error {
	t.Helper()
	payload := body(t, message)
	var err error
	switch by {
	case byReports:
		_, err = New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	case byConfigAnswer:
		_, err = New().DecodeResponse(getConfig(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	case byRedirect:
		_, err = New().DecodeResponse(figureRequest(), wire.CoAPResponse{Code: dots.CodeAlternateServer, Payload: payload})
	case byRequest:
		_, err = New().DecodeRequest(put(payload))
	case byConfig:
		_, err = New().DecodeRequest(putConfig(payload))
	}
	return err
}

// values has one of each type of CBOR.
func values() map[string]any {
	return map[string]any{
		"uint": 1, "negative": -1, "text": "a.example", "bytes": []byte("a"), "array": a{}, "map": m{}, "bool": true, "float": 1.5,
		"whole": 2.0, "texts": a{"a.example"}, "uints": a{1}, "maps": a{m{}}, "address": "192.0.2.1", "addresses": a{"192.0.2.1"},
		"prefixes": a{"192.0.2.0/24"}, "ports": a{m{6: 1}},
	}
}

// registry is the key map of draft-ietf-dots-signal-channel-04, Section 6, with the types that are read.
func registry() []struct {
	key   any
	name  string
	in    place
	by    int
	types string
} {
	return []struct {
		key   any
		name  string
		in    place
		by    int
		types string
	}{
		{1, "mitigation-scope", inAnswer, byReports, "map"},
		{2, "scope", func(key, v any) m { return m{1: m{key: v}} }, byReports, "array"},
		{3, "mitigation-id", inEntry, byReports, "uint"},
		{4, "target-ip", inEntry, byReports, "array addresses"},
		{5, "target-port-range", inEntry, byReports, "array ports"},
		{6, "lower-port", inPorts, byReports, "uint"},
		{7, "upper-port", inPorts, byReports, "uint"},
		{8, "target-protocol", inEntry, byReports, "array uints"},
		{9, "fqdn", inEntry, byReports, "array texts addresses prefixes"}, // of a server, not looked at closely
		{10, "uri", inEntry, byReports, "array texts addresses prefixes"},
		{11, "alias-name", inEntry, byReports, "array texts addresses prefixes"},
		{9, "fqdn", inRequest, byRequest, "texts"},
		{11, "alias-name", inRequest, byRequest, "texts addresses prefixes"},
		{12, "lifetime", inEntry, byReports, "uint negative"},
		{13, "attack-status", inRequest, byRequest, "uint"},
		{14, "signal-config", inAnswer, byConfigAnswer, "map"},
		{15, "heartbeat-interval", inConfig, byConfig, "uint"},
		{15, "heartbeat-interval", inAnswer, byConfigAnswer, "uint whole map"},
		{16, "max-retransmit", inConfig, byConfig, "uint"},
		{16, "max-retransmit", inAnswer, byConfigAnswer, "uint whole map"},
		{17, "ack-timeout", inConfig, byConfig, "uint"},
		{17, "ack-timeout", inAnswer, byConfigAnswer, "uint whole float map"},
		{18, "ack-random-factor", inConfig, byConfig, "uint float whole"},
		{18, "ack-random-factor", inAnswer, byConfigAnswer, "uint float whole map"},
		{19, "MinValue", inRange, byConfigAnswer, "uint whole"},
		{20, "MaxValue", inRange, byConfigAnswer, "uint whole"},
		{29, "CurrentValue", inRange, byConfigAnswer, "uint whole"},
		{19, "MinValue", inFactor, byConfigAnswer, "uint float whole"},
		{20, "MaxValue", inFactor, byConfigAnswer, "uint float whole"},
		{29, "CurrentValue", inFactor, byConfigAnswer, "uint float whole"},
		{21, "status", inEntry, byReports, "uint"},
		{22, "bytes-dropped", inEntry, byReports, "uint"},
		{23, "bps-dropped", inEntry, byReports, "uint"},
		{24, "pkts-dropped", inEntry, byReports, "uint"},
		{25, "pps-dropped", inEntry, byReports, "uint"},
		{26, "session-id", inConfig, byConfig, "uint"},
		{27, "trigger-mitigation", inConfig, byConfig, "bool"},
		{27, "trigger-mitigation", inAnswer, byConfigAnswer, "bool"},
		{28, "missing-hb-allowed", inConfig, byConfig, "uint"},
		{28, "missing-hb-allowed", inAnswer, byConfigAnswer, "uint whole map"},
		{30, "mitigation-start", inEntry, byReports, "uint float whole"},
		{"target-prefix", "target-prefix", inEntry, byReports, "array prefixes"},
		{"target-prefix", "target-prefix", inRequest, byRequest, "prefixes"},
		{4, "target-ip", inRequest, byRequest, "addresses"},
		{"alt-server", "alt-server", inRedirect, byRedirect, "text address"},
		{"alt-server-record", "alt-server-record", inRedirect, byRedirect, "array"},
		{"addr", "addr", inRecord, byRedirect, "address"},
		{"ttl", "ttl", inRecord, byRedirect, "uint"},
	}
}

// Each attribute is read from its types and refused, by its name, from every other.
func TestRegistryTypes(t *testing.T) {
	for _, row := range registry() {
		right := strings.Fields(row.types)
		for kind, value := range values() {
			good := false
			for _, r := range right {
				good = good || r == kind
			}
			err := readAs(t, row.by, row.in(row.key, value))
			if (err == nil) != good {
				t.Errorf("%s as %s: error %v", row.name, kind, err)
			}
			// What is wrong inside a list may be called by its own name.
			if err != nil && kind != "maps" && kind != "ports" && kind != "map" && !strings.Contains(err.Error(), row.name) {
				t.Errorf("%s as %s: the error does not name the attribute: %v", row.name, kind, err)
			}
		}
	}
}

// The table above has every key and every name of the dialect, once for each message it is in.
func TestRegistryIsComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range registry() {
		listed[row.name] = true
		if number, ok := row.key.(int); ok && name(uint64(number)) != row.name {
			t.Errorf("key %d is %q, want %q", number, name(uint64(number)), row.name)
		}
		if text, ok := row.key.(string); ok && name(named(text)) != text {
			t.Errorf("%q is %q", text, name(named(text)))
		}
	}
	for key := uint64(keyMitigationScope); key <= keyMitigationStart; key++ {
		if !listed[name(key)] {
			t.Errorf("key %d, %s, is not listed", key, name(key))
		}
	}
	for key := uint64(nameTargetPrefix); key <= nameTTL; key++ {
		if !listed[name(key)] {
			t.Errorf("name %s is not listed", name(key))
		}
	}
	for _, key := range []uint64{31, 32767, 32768, 65536} {
		if !strings.HasPrefix(name(key), "key ") {
			t.Errorf("key %d is %q", key, name(key))
		}
	}
}

// Where it has no place a key is refused with 4.02 and by its name, vendor-specific ones are passed over.
func TestKeysOutOfPlace(t *testing.T) {
	inPlace := map[any]bool{3: true, 4: true, 5: true, 8: true, 9: true, 10: true, 11: true, 12: true, 13: true, "target-prefix": true}
	for _, row := range registry() {
		if inPlace[row.key] {
			continue
		}
		isRefused(t, put(body(t, inRequest(row.key, 1))), dots.CodeBadOption, row.name+": not allowed here")
	}
	for _, tt := range []struct {
		key  any
		text string
	}{
		{0, "unknown keys: 0"},
		{31, "unknown keys: 31"},
		{32767, "unknown keys: 32767"},
		{65537, "out of range"},
		{uint64(1) << 63, "out of range"},
		{"Target-prefix", "unknown"},
		{"", "unknown"},
	} {
		isRefused(t, put(body(t, inRequest(tt.key, 1))), dots.CodeBadOption, tt.text)
	}
	for _, key := range []int{32768, 40000, 65536} {
		for _, value := range values() {
			accepted(t, put(body(t, inRequest(key, value))))
		}
	}
}
