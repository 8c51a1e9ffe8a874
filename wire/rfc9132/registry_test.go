package rfc9132

import (
	"errors"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/fxamacker/cbor/v2"
)

// place puts the value of an attribute where a message has it.
type place func(key int, value any) m

func inEntry(key int, value any) m { return scope(m{5: 7, 14: 60, 16: 1, key: value}) }

func inRequest(key int, value any) m { return scope(m{11: a{"a.example"}, 14: 60, key: value}) }

func inPorts(key int, value any) m { return inEntry(7, a{m{8: 1, key: value}}) }

func inConflict(key int, value any) m { return inEntry(17, m{key: value}) }

func inConflictScope(key int, value any) m { return inConflict(21, m{key: value}) }

func inConflictLists(key int, value any) m { return inConflictScope(22, a{m{23: "l", key: value}}) }

func inTypes(key int, value any) m { return inEntry(32770, a{m{32771: 1, key: value}}) }

func inControls(key int, value any) m { return inEntry(53, a{m{23: "l", key: value}}) }

func top(key int, value any) m { return m{key: value} }

func inConfig(key int, value any) m { return m{30: m{key: value}} }

func inSet(key int, value any) m { return m{30: m{32: m{key: value}}} }

func inInteger(key int, value any) m { return m{30: m{44: m{33: m{key: value}}}} }

func inDecimal(key int, value any) m { return m{30: m{44: m{39: m{key: value}}}} }

func inRedirect(key int, value any) m { return m{46: m{47: "a.example", key: value}} }

func inCallHome(key int, value any) m { return m{46: m{32773: "a.example", key: value}} }

func inHeartbeat(key int, value any) m { return m{49: m{51: true, key: value}} }

// How a message with an attribute is read: as an answer, or as a request, so that each attribute is read where it may be.
const (
	byReports = iota
	byConfig
	byRefusal
	byRequest
	byEfficacy
	byHeartbeat
	byCallHome
)

// read reads a message with the attribute in it.
func readAs(t *testing.T, by int, message m) error {
	t.Helper()
	payload := body(t, message)
	var err error
	switch by {
	case byReports:
		_, err = New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	case byConfig:
		_, err = New().DecodeResponse(wire.Request{Op: wire.GetConfig}, wire.CoAPResponse{Code: dots.CodeContent, Payload: payload})
	case byRefusal:
		var got wire.Response
		got, err = New().DecodeResponse(figureRequest(), wire.CoAPResponse{Code: dots.CodeUnavailable, Payload: payload})
		if err == nil && !got.Redirect.Set {
			err = errors.New("no redirection was read")
		}
	case byRequest, byEfficacy:
		r := put(payload)
		r.IfMatch = by == byEfficacy
		_, err = New().DecodeRequest(r)
	case byHeartbeat:
		_, err = New().DecodeRequest(putHeartbeat(payload))
	case byCallHome:
		r := put(payload)
		r.Path = path("redirect")
		_, err = New().DecodeRequest(r)
	}
	return err
}

// values has one of each type of CBOR.
func values() map[string]any {
	return map[string]any{
		"uint": 1, "negative": -1, "text": "a.example", "bytes": []byte("a"), "array": a{}, "map": m{}, "bool": true, "float": 1.5,
		"decimal": dec(-2, 150), "tag": cbor.Tag{Number: 99, Content: 1}, "texts": a{"a.example"}, "uints": a{1},
		"maps": a{m{}}, "undefined": cbor.SimpleValue(99),
	}
}

// registry is the key map: the type of each attribute, and where it stands.
//
// RFC 9132, Section 6: the table of CBOR keys; RFC 9133, Section 3.2.2, RFC 9066, Section 5.3.1 and RFC 9362, Section 5: what was added.
func registry() []struct {
	key     int
	name    string
	in      place
	by      int
	types   string // of which a value is read, by their names in values
	special any    // a good value where that of values does not do
} {
	return []struct {
		key     int
		name    string
		in      place
		by      int
		types   string
		special any
	}{
		{1, "mitigation-scope", top, byReports, "map", nil},
		{2, "scope", func(key int, v any) m { return m{1: m{key: v}} }, byReports, "array", nil},
		{5, "mid", inEntry, byReports, "uint", nil},
		{6, "target-prefix", inEntry, byReports, "array", a{"192.0.2.0/24"}},
		{7, "target-port-range", inEntry, byReports, "array", a{m{8: 1}}},
		{8, "lower-port", inPorts, byReports, "uint", nil},
		{9, "upper-port", inPorts, byReports, "uint", nil},
		{10, "target-protocol", inEntry, byReports, "array uints", nil},
		{11, "target-fqdn", inEntry, byReports, "array texts", nil},
		{12, "target-uri", inEntry, byReports, "array texts", nil},
		{13, "alias-name", inEntry, byReports, "array texts", nil},
		{14, "lifetime", inEntry, byReports, "uint negative", nil},
		{15, "mitigation-start", inEntry, byReports, "uint", nil},
		{16, "status", inEntry, byReports, "uint", nil},
		{17, "conflict-information", inEntry, byReports, "map", nil},
		{18, "conflict-status", inConflict, byReports, "uint", nil},
		{19, "conflict-cause", inConflict, byReports, "uint", nil},
		{20, "retry-timer", inConflict, byReports, "uint", nil},
		{21, "conflict-scope", inConflict, byReports, "map", nil},
		{22, "acl-list", inConflictScope, byReports, "array", a{m{23: "l"}}},
		{23, "acl-name", inConflictLists, byReports, "text", nil},
		{24, "acl-type", inConflictLists, byReports, "text", nil},
		{25, "bytes-dropped", inEntry, byReports, "uint", nil},
		{26, "bps-dropped", inEntry, byReports, "uint", nil},
		{27, "pkts-dropped", inEntry, byReports, "uint", nil},
		{28, "pps-dropped", inEntry, byReports, "uint", nil},
		{29, "attack-status", inRequest, byEfficacy, "uint", nil},
		{30, "signal-config", top, byConfig, "map", nil},
		{32, "mitigating-config", inConfig, byConfig, "map", nil},
		{33, "heartbeat-interval", inSet, byConfig, "map", nil},
		{34, "max-value", inInteger, byConfig, "uint", nil},
		{35, "min-value", inInteger, byConfig, "uint", nil},
		{36, "current-value", inInteger, byConfig, "uint", nil},
		{37, "missing-hb-allowed", inSet, byConfig, "map", nil},
		{38, "max-retransmit", inSet, byConfig, "map", nil},
		{39, "ack-timeout", inSet, byConfig, "map", nil},
		{40, "ack-random-factor", inSet, byConfig, "map", nil},
		{41, "max-value-decimal", inDecimal, byConfig, "decimal uint", nil},
		{42, "min-value-decimal", inDecimal, byConfig, "decimal uint", nil},
		{43, "current-value-decimal", inDecimal, byConfig, "decimal uint", nil},
		{44, "idle-config", inConfig, byConfig, "map", nil},
		{45, "trigger-mitigation", inRequest, byRequest, "bool", nil},
		{46, "redirected-signal", top, byRefusal, "map", m{47: "a.example"}},
		{47, "alt-server", inRedirect, byRefusal, "text", nil},
		{48, "alt-server-record", inRedirect, byRefusal, "array texts", nil},
		{49, "heartbeat", top, byHeartbeat, "map", m{51: true}},
		{50, "probing-rate", inSet, byConfig, "map", nil},
		{51, "peer-hb-status", inHeartbeat, byHeartbeat, "bool", nil},
		{52, "activation-type", inControls, byReports, "uint", nil},
		{53, "acl-list", inEntry, byReports, "array", a{m{23: "l"}}},
		{32768, "source-prefix", inEntry, byReports, "array texts", nil},
		{32769, "source-port-range", inEntry, byReports, "array", a{m{8: 1}}},
		{32770, "source-icmp-type-range", inEntry, byReports, "array", a{m{32771: 1}}},
		{32771, "lower-type", inTypes, byReports, "uint", nil},
		{32772, "upper-type", inTypes, byReports, "uint", nil},
		{32773, "alt-ch-client", inCallHome, byCallHome, "text", nil},
		{32774, "alt-ch-client-record", inCallHome, byCallHome, "", a{"192.0.2.1"}},
		{32775, "ttl", inCallHome, byCallHome, "uint", nil},
		{32776, "max-payloads", inSet, byConfig, "map", nil},
		{32777, "non-max-retransmit", inSet, byConfig, "map", nil},
		{32778, "non-timeout", inSet, byConfig, "map", nil},
		{32779, "non-receive-timeout", inSet, byConfig, "map", nil},
		{32780, "non-probing-wait", inSet, byConfig, "map", nil},
		{32781, "non-partial-wait", inSet, byConfig, "map", nil},
	}
}

// Each attribute is read from its type and refused, by its name, from every other.
func TestRegistryTypes(t *testing.T) {
	for _, row := range registry() {
		t.Run(row.name, func(t *testing.T) {
			right := strings.Fields(row.types)
			for kind, value := range values() {
				good := false
				for _, r := range right {
					good = good || r == kind
				}
				if good && kind == "map" && row.special != nil {
					continue // an empty map lacks what is mandatory in it
				}
				err := readAs(t, row.by, row.in(row.key, value))
				if (err == nil) != good {
					t.Errorf("%s: error %v", kind, err)
				}
				// The deepest attributes leave no room for anything nested in them.
				if err != nil && strings.Contains(err.Error(), "beyond the limits") {
					continue
				}
				// A redirection that cannot be read is passed over, since the code says enough.
				if err != nil && row.by != byRefusal && !strings.Contains(err.Error(), row.name) &&
					!strings.HasPrefix(kind, "map") && !strings.HasSuffix(kind, "s") {
					t.Errorf("%s: the error does not name the attribute: %v", kind, err)
				}
			}
			if row.special == nil {
				return
			}
			if err := readAs(t, row.by, row.in(row.key, row.special)); err != nil {
				t.Errorf("%v: %v", row.special, err)
			}
		})
	}
}

// No key of the registry is missing in the table above, and none of the profile in the registry.
func TestRegistryIsComplete(t *testing.T) {
	listed := map[uint64]string{3: "cdid", 4: "cuid", 31: "sid"} // never in a body
	for _, row := range registry() {
		if listed[uint64(row.key)] != "" {
			t.Errorf("key %d twice", row.key)
		}
		listed[uint64(row.key)] = row.name
	}
	for key := range uint64(70000) {
		if known(key) != (listed[key] != "") {
			t.Errorf("key %d: known %v, listed %q", key, known(key), listed[key])
		}
		if listed[key] != "" && name(key) != listed[key] {
			t.Errorf("key %d is %q, want %q", key, name(key), listed[key])
		}
	}
}

// RFC 9132, Section 4.4.1: cuid, cdid and mid, and RFC 9132, Section 4.5.2: the sid, are in the path and nowhere else.
func TestIdentifiersAreInNoRequestBody(t *testing.T) {
	for _, tt := range []struct {
		key  int
		name string
		in   place
		by   int
	}{
		{3, "cdid", inRequest, byRequest},
		{4, "cuid", inRequest, byRequest},
		{5, "mid", inRequest, byRequest},
		{31, "sid", inRequest, byRequest},
		{3, "cdid", top, byRequest},
		{4, "cuid", top, byHeartbeat},
		{5, "mid", inHeartbeat, byHeartbeat},
		{3, "cdid", inCallHome, byCallHome},
		{4, "cuid", inCallHome, byCallHome},
		{5, "mid", inCallHome, byCallHome},
	} {
		for kind, value := range values() {
			err := readAs(t, tt.by, tt.in(tt.key, value))
			if err == nil || !strings.Contains(err.Error(), tt.name+": not allowed") {
				t.Errorf("%s as %s: error %v", tt.name, kind, err)
			}
		}
	}
}

// Every known key where a client's request has no place for it is refused by its name, or passed over where that is allowed.
func TestKnownKeysOutOfPlace(t *testing.T) {
	inPlace := map[string]map[int]bool{
		"entry":     {6: true, 7: true, 10: true, 11: true, 12: true, 13: true, 14: true, 29: true, 45: true, 53: true, 32768: true, 32769: true, 32770: true},
		"ports":     {8: true, 9: true},
		"controls":  {23: true, 52: true},
		"top":       {1: true},
		"heartbeat": {51: true},
	}
	for name, in := range map[string]struct {
		in place
		by int
	}{
		"entry": {inRequest, byRequest}, "heartbeat": {inHeartbeat, byHeartbeat},
		"ports":    {func(key int, v any) m { return inRequest(7, a{m{8: 1, key: v}}) }, byRequest},
		"controls": {func(key int, v any) m { return inRequest(53, a{m{23: "l", key: v}}) }, byRequest},
		"top":      {func(key int, v any) m { b := inRequest(14, 60); b[key] = v; return b }, byRequest},
	} {
		for _, row := range registry() {
			if inPlace[name][row.key] {
				continue
			}
			err := readAs(t, in.by, in.in(row.key, 1))
			// RFC 9132, Section 10.6.1: from 16384 on nothing must be understood.
			if row.key >= 16384 {
				if err != nil {
					t.Errorf("%s in %s: %v", row.name, name, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), row.name+": ") {
				t.Errorf("%s in %s: error %v", row.name, name, err)
			}
		}
	}
}
