package policy

import (
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func TestWhatUplinksAre(t *testing.T) {
	c := house()
	c.Uplinks = append(c.Uplinks, Uplink{Name: "box", CUIDMode: CUIDPerClient, Local: true}, Uplink{Name: "core", CUIDMode: CUIDPerClient, CDID: true})
	p := mustNew(t, c)
	if got := p.Uplinks(); !slices.Equal(got, []string{"box", "core", "north", "south"}) {
		t.Errorf("uplinks %v", got)
	}
	tests := []struct {
		uplink             string
		local, cdid, relay bool
		mode               CUIDMode
	}{
		{"box", true, false, false, CUIDPerClient},
		{"core", false, true, false, CUIDPerClient},
		{"north", false, false, false, CUIDAggregate},
		{"south", false, false, true, CUIDPerClient},
		{"gone", false, false, false, ""},
	}
	for _, tt := range tests {
		if p.Local(tt.uplink) != tt.local || p.InsertsCDID(tt.uplink) != tt.cdid || p.Relays(tt.uplink, 130) != tt.relay || p.CUIDMode(tt.uplink) != tt.mode {
			t.Errorf("%s: local %v, cdid %v, relays %v, mode %q", tt.uplink, p.Local(tt.uplink), p.InsertsCDID(tt.uplink), p.Relays(tt.uplink, 130), p.CUIDMode(tt.uplink))
		}
		if p.Relays(tt.uplink, 131) {
			t.Errorf("%s relays a key that nobody listed", tt.uplink)
		}
	}
}

// TestScopesDiffer: whatever clients put into their cuids, none gets the scope, and so the upstream cuid, of another one.
//
// RFC 9132, Section 4.4.1.1: a cuid is one client's.
func TestScopesDiffer(t *testing.T) {
	p := mustNew(t, house())
	seen := map[string]dots.Client{}
	for _, c := range []dots.Client{
		{Name: "one", CUID: "x"},
		{Name: "one", CUID: "x:y"},
		{Name: "one", CUID: "x", CDID: "y"},
		{Name: "one:x", CUID: "y"},
		{Name: "one:x", CUID: ""},
		{Name: "one", CUID: "x%3Ay"},
		{Name: "one", CUID: "x", CDID: "y:z"},
		{Name: "one", CUID: "x:y", CDID: "z"},
		{Name: "one%3Ax", CUID: "y"},
	} {
		s := p.Scope("south", Grant{Client: c})
		if other, ok := seen[s]; ok {
			t.Errorf("%+v and %+v have the scope %q", c, other, s)
		}
		seen[s] = c
	}
	if got, want := p.Scope("south", Grant{Client: dots.Client{Name: "one", CUID: "x", CDID: "y"}}), "client:one:x:y"; got != want {
		t.Errorf("scope %q, want %q: stores hold it", got, want)
	}
}
