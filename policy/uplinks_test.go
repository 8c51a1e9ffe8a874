package policy

import (
	"slices"
	"testing"
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
