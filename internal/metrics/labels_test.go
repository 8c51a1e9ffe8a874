package metrics

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// labelsOf returns the labels of the numbers 0 to n-1 of a set and of the first one outside it.
func labelsOf[T ~uint8](n T, label func(T) string) []string {
	var out []string
	for i := range n + 1 {
		out = append(out, label(i))
	}
	return out
}

// TestLabels pins the labels: dashboards and alert rules are written with them.
func TestLabels(t *testing.T) {
	for name, tt := range map[string]struct{ got, want []string }{
		"side":       {labelsOf(sides, Side.String), []string{"downstream", "uplink", "other"}},
		"transport":  {labelsOf(transports, Transport.String), []string{"dtls", "tls", "other"}},
		"leg":        {labelsOf(legStates, LegState.String), []string{"wanted", "placed", "refused", "withdrawing", "other"}},
		"resolution": {labelsOf(resolutions, Resolution.String), []string{"found", "cached", "not-found", "timeout", "insecure", "failed", "other"}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestCodeLabels goes through all codes: each is told by its own name if it is one a DOTS agent uses, else by its class.
func TestCodeLabels(t *testing.T) {
	own := map[dots.Code]bool{
		dots.CodeCreated: true, dots.CodeDeleted: true, dots.CodeValid: true, dots.CodeChanged: true, dots.CodeContent: true,
		dots.CodeAlternateServer: true, dots.CodeBadRequest: true, dots.CodeUnauthorized: true, dots.CodeBadOption: true,
		dots.CodeForbidden: true, dots.CodeNotFound: true, dots.CodeMethodNotAllowed: true, dots.CodeNotAcceptable: true,
		dots.CodeIncomplete: true, dots.CodeConflict: true, dots.CodePreconditionFailed: true, dots.CodeTooLarge: true,
		dots.CodeUnsupportedFormat: true, dots.CodeUnprocessable: true, dots.CodeInternal: true, dots.CodeNotImplemented: true,
		dots.CodeUnavailable: true, dots.CodeLoop: true,
	}
	for n := range 256 {
		code := dots.Code(n)
		want := fmt.Sprintf("%d.xx", n>>5)
		switch {
		case n == 0:
			want = "silent"
		case own[code]:
			want = fmt.Sprintf("%d.%02d", n>>5, n&0x1f)
		}
		if got := codeLabel(code); got != want {
			t.Errorf("code %#02x is %q, want %q", n, got, want)
		}
	}
}

// TestStatusesAreAll: a status that dots adds must not be missing from the gauges.
func TestStatusesAreAll(t *testing.T) {
	listed := map[dots.Status]bool{}
	for _, s := range statuses() {
		if listed[s] {
			t.Errorf("%s stands twice", s)
		}
		listed[s] = true
	}
	for n := range 256 {
		if s := dots.Status(n); s.Valid() != listed[s] {
			t.Errorf("%s: valid %v, listed %v", s, s.Valid(), listed[s])
		}
	}
}

// TestEveryCounterIsShown sets each field of CoAPCounters alone and expects one series of that side to show it, so that a
// new field cannot be forgotten and two cannot be swapped.
func TestEveryCounterIsShown(t *testing.T) {
	kind := reflect.TypeFor[CoAPCounters]()
	shown := map[string]string{}
	for i := range kind.NumField() {
		field := kind.Field(i).Name
		for side := range sides {
			m := New(Config{CoAP: func(s Side) CoAPCounters {
				var c CoAPCounters
				if s == side {
					reflect.ValueOf(&c).Elem().Field(i).SetUint(7)
				}
				return c
			}})
			var where []string
			for _, d := range transportDefinitions() {
				for labels, value := range series(t, m, d.name) {
					if value != 0 {
						where = append(where, fmt.Sprint(d.name, " ", labels, " ", value))
					}
				}
			}
			if len(where) != 1 {
				t.Fatalf("%s of %s is shown by %q, want one series", field, side, where)
			}
			if other := shown[where[0]]; other != "" {
				t.Errorf("%s and %s are both %s", field, other, where[0])
			}
			shown[where[0]] = field
		}
	}
}

// TestNoCounters: without a source there are no series, rather than zeros that nobody counts.
func TestNoCounters(t *testing.T) {
	m := New(Config{})
	for _, d := range transportDefinitions() {
		if got := series(t, m, d.name); len(got) != 0 {
			t.Errorf("%s: %v", d.name, got)
		}
	}
}

// TestSeriesAreBounded does what the worst peer and the worst operator can, and counts the series of the gateway.
func TestSeriesAreBounded(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	for n := range 256 {
		side, method := Side(n), Method(n)
		for code := range 256 {
			m.Request(side, method, dots.Code(code))
		}
		m.Notified(dots.Code(n))
		m.HeartbeatMissed(side)
		m.SessionLost(side)
		m.SessionOpened(side, Transport(n))
		m.NameResolved(Resolution(n))
		m.Refused(fmt.Sprint("peer ", n))
		m.SetLegs(fmt.Sprint("stranger ", n), map[LegState]int{LegState(n): 1})
		m.SetUplinkUp(fmt.Sprint("stranger ", n), true)
		m.SetMitigations(map[dots.Status]int{dots.Status(n): 1})
	}
	codes := map[string]bool{}
	for n := range 256 {
		codes[codeLabel(dots.Code(n))] = true
	}
	for name, most := range map[string]int{
		NameRequests:         3 * 5 * len(codes), // sides and methods, with "other"
		NameNotifications:    len(codes),
		NameHeartbeatsMissed: 3, NameSessionsLost: 3, NameSessions: 9,
		NameResolutions: 7, NameMailboxRefusals: 4, NameLegs: 4, NameUplinkUp: 3, NameMitigations: 8,
	} {
		if got := len(series(t, m, name)); got > most || got == 0 {
			t.Errorf("%s has %d series, want 1 to %d", name, got, most)
		}
	}
}

// TestUplinkNames: names are the operator's, so whatever they are, they count apart and are shown whole.
func TestUplinkNames(t *testing.T) {
	names := []string{"a", "A", "other", "with \"quotes\"", "with\\backslash", "Zürich", ""}
	m := New(Config{Uplinks: names})
	want := map[string]float64{}
	for i, name := range names {
		m.SetUplinkUp(name, i%2 == 0)
		want["uplink="+name] = float64(1 - i%2)
	}
	expect(t, m, NameUplinkUp, want)
	m.SetUplinks(append(names, "a")) // said twice, and nothing is lost
	expect(t, m, NameUplinkUp, want)
	m.SetUplinks(nil)
	expect(t, m, NameUplinkUp, map[string]float64{})
}
