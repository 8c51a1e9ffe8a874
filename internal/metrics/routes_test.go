package metrics

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// wantPage compares lines of what a scrape shows.
func wantPage(t *testing.T, m *Metrics, want ...string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(m, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range want {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

// TestRoutes holds that what is not told of an uplink is nothing, and that the series of one that is gone end.
func TestRoutes(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	m.SetRoutes(Routes{Drained: map[string]bool{"a": true}, Blind: map[string]int{"a": 2}, Shared: map[string]int{"b": 3, "stranger": 4}, RTT: map[string]time.Duration{"a": 41500 * time.Microsecond, "stranger": 1}, Recursed: 5})
	wantPage(t, m, `dotsgate_uplink_rtt_seconds{uplink="a"} 0.0415`, `dotsgate_uplink_rtt_seconds{uplink="b"} 0`, `dotsgate_uplink_drained{uplink="a"} 1`, `dotsgate_uplink_drained{uplink="b"} 0`, `dotsgate_blind_cuids{uplink="a"} 2`,
		`dotsgate_legs_shared{uplink="a"} 0`, `dotsgate_legs_shared{uplink="b"} 3`, `dotsgate_recursed_mitigations 5`)
	m.SetRoutes(Routes{})
	wantPage(t, m, `dotsgate_uplink_rtt_seconds{uplink="a"} 0`, `dotsgate_uplink_drained{uplink="a"} 0`, `dotsgate_legs_shared{uplink="b"} 0`, `dotsgate_recursed_mitigations 0`)
	m.SetUplinks([]string{"b", "c"})
	w := httptest.NewRecorder()
	Handler(m, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if page := w.Body.String(); strings.Contains(page, `uplink="a"`) || strings.Contains(page, "stranger") || !strings.Contains(page, `dotsgate_blind_cuids{uplink="c"} 0`) {
		t.Error("an uplink that is gone is shown, or one that came is not")
	}
}

// TestRedirects holds that redirects are counted by uplink, from 0, until that is gone.
func TestRedirects(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	m.Redirected("a", true)
	m.Redirected("a", true)
	m.Redirected("a", false)
	m.Redirected("stranger", false)
	name := "dotsgate_uplink_redirects_total"
	wantPage(t, m, name+`{followed="yes",uplink="a"} 2`, name+`{followed="no",uplink="a"} 1`, name+`{followed="no",uplink="b"} 0`,
		name+`{followed="no",uplink="other"} 1`)
	m.SetUplinks([]string{"b"})
	expect(t, m, NameRedirects, map[string]float64{"followed=no,uplink=b": 0, "followed=yes,uplink=b": 0, "followed=no,uplink=other": 1})
}

// TestAAA holds that nothing that a server says makes a new series.
func TestAAA(t *testing.T) {
	m := New(Config{})
	m.AAADecided("cache", AAAAllowed)
	m.AAADecided("server", AAADenied)
	m.AAADecided("somewhere", AAAFailed)
	m.AAAAsked(3*time.Millisecond, true)
	m.AAAAsked(time.Second, false)
	m.AAADropped("garbage")
	m.AAADropped("magic")
	m.RateRefused(7)
	m.Reloaded(nil)
	m.Reloaded(errors.New("no"))
	m.Reloaded(errors.New("no"))
	wantPage(t, m, `dotsgate_aaa_decisions_total{decision="allow",source="cache"} 1`, `dotsgate_aaa_decisions_total{decision="deny",source="server"} 1`,
		`dotsgate_aaa_decisions_total{decision="failed",source="other"} 1`, `dotsgate_aaa_decisions_total{decision="failed",source="nobody"} 0`,
		`dotsgate_aaa_seconds_count 1`, `dotsgate_aaa_silences_total 1`, `dotsgate_aaa_dropped_total{fault="garbage"} 1`,
		`dotsgate_aaa_dropped_total{fault="other"} 1`, `dotsgate_rate_refusals_total 7`,
		`dotsgate_reloads_total{outcome="done"} 1`, `dotsgate_reloads_total{outcome="failed"} 2`)
}
