package gateway

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

// oldRecords is what an earlier version kept of one mitigation: its grant named an uplink, which says nothing any more.
func oldRecords() map[identity]string {
	return map[identity]string{
		{kindOwn, "up\x00"}:                                 `{"Placement":{"Uplink":"up","Scope":""},"CUID":"TqXuaP6gVYYQaJDe1XM4IA"}`,
		{kindCounter, "up\x00TqXuaP6gVYYQaJDe1XM4IA"}:       `{"Reserved":1025}`,
		{kindLeg, "up\x00TqXuaP6gVYYQaJDe1XM4IA\x00" + "1"}: `{"Members":[{"Client":{"Name":"a","CUID":"cuid-a"},"MID":1}],"Request":{"Prefixes":["192.0.2.1/32"],"Lifetime":3600},"HopLimit":9}`,
		{kindCUID, "cuid-a"}:                                `{"Client":"a"}`,
		{kindMitigation, "a\x00cuid-a\x00" + "1"}: `{"Client":{"Name":"a","CUID":"cuid-a"},"MID":1,"Asked":{"Prefixes":["192.0.2.1/32"],"Lifetime":3600},` +
			`"Grant":{"Domain":"lab","Uplink":"gone","Expanded":{"Prefixes":["192.0.2.1/32"],"Names":null,"URIs":null,"Aliases":null}},` +
			`"HopLimit":9,"Lifetime":3600,"Expires":1003600,"Start":1000000,"Period":120000000000}`,
	}
}

// TestOldRecords starts on the store of an earlier version: what stood there stands, under the mid that it had, and nothing is asked for anew.
//
// RFC 8811, Section 3.1: mitigations survive our restart.
func TestOldRecords(t *testing.T) {
	r := newRig(t, CoreConfig{})
	for id, value := range oldRecords() {
		r.disk[id] = []byte(value)
	}
	r.boot()
	r.step(LinkUp{"up"})
	wanted := slices.Collect(maps.Values(r.wanted))
	if len(wanted) != 1 || wanted[0].Key.MID != 1 || wanted[0].Withdraw {
		t.Fatalf("wanted %+v", wanted)
	}
	r.asks("a", put(1, "192.0.2.1/32"), 9)
	for id, value := range r.disk {
		if id.kind == kindMitigation && bytes.Contains(value, []byte("Uplink")) {
			t.Errorf("written again with an uplink: %s", value)
		}
		if _, known := oldRecords()[id]; !known {
			t.Errorf("a refresh made %s %q", id.kind, strings.ReplaceAll(id.key, keySep, "/"))
		}
	}
}
