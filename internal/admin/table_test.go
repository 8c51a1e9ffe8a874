package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTables(t *testing.T) {
	f := example()
	now := time.Date(2030, 1, 2, 4, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		write func(*bytes.Buffer) error
		want  []string
	}{
		"mitigations": {func(b *bytes.Buffer) error { return WriteMitigations(b, FormatTable, now, f.mitigations) }, []string{
			"CLIENT CUID MID STATUS LIFETIME TARGETS LEGS HEARD",
			"a x 1 mitigated 60s 192.0.2.1/32,port:443 one/9:placed,two/3:placing 59m30s,-",
			"b y 2 in-progress indefinite example.com - -",
		}},
		"behind a gateway": {func(b *bytes.Buffer) error {
			return WriteMitigations(b, FormatTable, now, []Mitigation{{Client: "gw", CUID: "x", CDID: "d", MID: 1, Status: "mitigated", Lifetime: 60}})
		}, []string{
			"CLIENT CUID MID STATUS LIFETIME TARGETS LEGS HEARD",
			"gw d/x 1 mitigated 60s - - -",
		}},
		"shared, and recursed": {func(b *bytes.Buffer) error {
			return WriteMitigations(b, FormatTable, now, []Mitigation{{
				Client: "a", CUID: "x", MID: 1, Status: "mitigated", Lifetime: 60, Recursed: true,
				Legs: []Leg{{Uplink: "one", MID: 9, State: "placed", SharedBy: 3}, {Uplink: "two", MID: 3, State: "placed", SharedBy: 1}},
			}})
		}, []string{
			"CLIENT CUID MID STATUS LIFETIME TARGETS LEGS HEARD",
			"a x 1 mitigated,recursed 60s - one/9:placed(shared by 3),two/3:placed -,-",
		}},
		"sessions": {func(b *bytes.Buffer) error { return WriteSessions(b, FormatTable, now, f.sessions) }, []string{
			"ID CLIENT PEER TRANSPORT PROFILE AGE HEARD",
			"5 a 192.0.2.9:4646 dtls rfc9132 1h0m0s 59m0s",
			"6 (unknown) 192.0.2.10:4646 tls - 1h0m0s 1h0m0s",
		}},
		"uplinks": {func(b *bytes.Buffer) error { return WriteUplinks(b, FormatTable, now, f.uplinks) }, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
			"one up 198.51.100.1:4646 dtls rfc9132 1h0m0s 1h0m0s 41.5ms placed:3,refused:1 -",
			"two down - - draft04 - - - - no route",
		}},
		"mitigators": {func(b *bytes.Buffer) error {
			return WriteUplinks(b, FormatTable, now, []Uplink{{Name: "scrubber", Up: true, Local: true, Drained: true, Leaving: true}})
		}, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
			"scrubber up,local,drained,leaving - - - - - - - -",
		}},
		"redirected": {func(b *bytes.Buffer) error {
			return WriteUplinks(b, FormatTable, now, []Uplink{{Name: "provider", Up: true, Redirected: "other.example"}})
		}, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
			"provider up,redirected:other.example - - - - - - - -",
		}},
		"dialling": {func(b *bytes.Buffer) error {
			return WriteUplinks(b, FormatTable, now, []Uplink{{Name: "provider", Dialling: now.Add(-45 * time.Second)}})
		}, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
			"provider down,dialling:45s - - - - - - - -",
		}},
		"suspect": {func(b *bytes.Buffer) error {
			return WriteUplinks(b, FormatTable, now, []Uplink{{Name: "provider", Up: true, Suspect: true}})
		}, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
			"provider up,suspect - - - - - - - -",
		}},
		"an explanation": {func(b *bytes.Buffer) error {
			return WriteExplanation(b, FormatTable, Explanation{Allowed: true, Code: "2.01", Steps: []Step{
				{Rule: "prefixes", Subject: "192.0.2.1/32", Result: "owned", Detail: "by 192.0.2.0/24"}, {Rule: "lifetime", Result: "60\x1b"},
			}})
		}, []string{"RULE SUBJECT RESULT DETAIL", "prefixes 192.0.2.1/32 owned by 192.0.2.0/24", `lifetime - 60\x1b -`, "allowed: 2.01"}},
		"a refusal": {func(b *bytes.Buffer) error {
			return WriteExplanation(b, FormatTable, Explanation{Code: "4.00", Text: "not yours"})
		}, []string{"RULE SUBJECT RESULT DETAIL", "refused: 4.00 not yours"}},
		"nothing": {func(b *bytes.Buffer) error { return WriteUplinks(b, FormatTable, now, nil) }, []string{
			"UPLINK STATE REMOTE TRANSPORT PROFILE FOR HEARD RTT LEGS LAST ERROR",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(b.String()) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			if diff := cmp.Diff(tt.want, lines); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

// TestColumnsStandBelowEachOther holds that a table is one.
func TestColumnsStandBelowEachOther(t *testing.T) {
	var b bytes.Buffer
	if err := WriteMitigations(&b, FormatTable, time.Now(), example().mitigations); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	at := strings.Index(lines[0], "STATUS")
	if !strings.HasPrefix(lines[1][at:], "mitigated") || !strings.HasPrefix(lines[2][at:], "in-progress") {
		t.Errorf("columns are not below each other:\n%s", b.String())
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	f := example()
	if err := WriteMitigations(&b, FormatJSON, time.Now(), f.mitigations); err != nil {
		t.Fatal(err)
	}
	var back []Mitigation
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f.mitigations, back); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	for _, word := range []string{`"client": "a"`, `"status_code": 2`, `"bytes_dropped": 7`, `"lifetime": -1`, `"heard": "2030-01-02T03:04:35Z"`} {
		if !strings.Contains(b.String(), word) {
			t.Errorf("JSON has no %s:\n%s", word, b.String())
		}
	}
	if n := strings.Count(b.String(), `"heard"`); n != 1 {
		t.Errorf("%d times heard, want once: of the other leg nothing was", n)
	}
}

func TestUnknownFormat(t *testing.T) {
	if err := WriteSessions(&bytes.Buffer{}, "xml", time.Now(), nil); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("format xml: %v", err)
	}
}

// full refuses everything, as a full disk does.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteFails(t *testing.T) {
	for _, format := range []string{FormatTable, FormatJSON} {
		if err := WriteMitigations(full{}, format, time.Now(), example().mitigations); err == nil {
			t.Errorf("%s: a failure to write is not told", format)
		}
	}
}

// TestPrintable holds that words of peers cannot move the cursor, change colours or make lines and columns of their own.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain-cuid_1.2", "plain-cuid_1.2"},
		{`quote " and \ stay`, `quote " and \ stay`},
		{"umläut 漢字", "umläut 漢字"},
		{"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"a\nb", `a\nb`},
		{"a\tb", `a\tb`},
		{"a\rb\x00", `a\rb\x00`},
		{"\u202eabc", `\u202eabc`},
		{"\u009b31m", `\u009b31m`},
		{"bad \xff utf", `bad \xff utf`},
	} {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestTableEscapes holds that every cell goes through Printable.
func TestTableEscapes(t *testing.T) {
	const evil = "x\x1b[2J\ny\tz"
	f := fake{
		mitigations: []Mitigation{{Client: evil, CUID: evil, CDID: evil, Status: evil, Targets: []string{evil}, Legs: []Leg{{Uplink: evil, State: evil}}}},
		sessions:    []Session{{Client: evil, Peer: evil, Transport: evil, Profile: evil}},
		uplinks:     []Uplink{{Name: evil, Profile: evil, Transport: evil, Remote: evil, LastError: evil, Legs: map[string]int{evil: 1}}},
	}
	var b bytes.Buffer
	for _, err := range []error{
		WriteMitigations(&b, FormatTable, time.Now(), f.mitigations), WriteSessions(&b, FormatTable, time.Now(), f.sessions), WriteUplinks(&b, FormatTable, time.Now(), f.uplinks),
		WriteMitigations(&b, FormatJSON, time.Now(), f.mitigations), WriteSessions(&b, FormatJSON, time.Now(), f.sessions), WriteUplinks(&b, FormatJSON, time.Now(), f.uplinks),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.ContainsAny(b.String(), "\x1b\t") {
		t.Errorf("an escape reached the terminal: %q", b.String())
	}
}
