package gateway

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// records are the mitigation's own and the one of its expiry, of client a's mid 1; nil where there is none.
func (r *rig) records() (own, prolonged []byte) {
	key := mitigationRecordKey(dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "cuid-a"}, MID: 1})
	return r.disk[identity{kindMitigation, key}], r.disk[identity{kindProlonged, key}]
}

// left is how long client a's mid 1 still lasts.
func (r *rig) left() dots.Lifetime {
	r.t.Helper()
	m := r.core.mits[dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "cuid-a"}, MID: 1}]
	if m == nil || m.phase != live {
		r.t.Fatal("it does not live")
	}
	return m.remaining(r.now)
}

// prolongedRig has a mitigation of an hour, asked for at 0, that was refreshed twice: after ten and after twenty minutes.
func prolongedRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, CoreConfig{})
	for range 3 {
		r.asks("a", put(1, "192.0.2.1/32"), 9)
		r.advance(10 * time.Minute)
	}
	return r
}

// TestARefreshWritesTheExpiryAlone, from the second one on, and a restart knows it (RFC 8811, Section 3.1: mitigations survive our restart).
func TestARefreshWritesTheExpiryAlone(t *testing.T) {
	r := prolongedRig(t)
	before, prolonged := r.records()
	if want := `{"Expires":1004800,"Lifetime":3600}`; string(prolonged) != want {
		t.Errorf("recorded %s, want %s", prolonged, want)
	}
	r.asks("a", put(1, "192.0.2.1/32"), 9)
	if own, newer := r.records(); !bytes.Equal(own, before) || bytes.Equal(newer, prolonged) {
		t.Errorf("recorded %s and %s", own, newer)
	}
	r.advance(time.Minute)
	r.boot()
	if got := r.left(); got != 59*60 {
		t.Errorf("after a restart %d s are left", got)
	}
	r.asks("a", put(1, "192.0.2.1/32"), 9)
	if own, _ := r.records(); bytes.Equal(own, before) {
		t.Error("the first refresh after a restart does not write the record")
	}
}

// TestAnotherLifetimeIsWrittenWhole: the shorter one counts, though an expiry that was written before is later.
func TestAnotherLifetimeIsWrittenWhole(t *testing.T) {
	r := prolongedRig(t)
	_, prolonged := r.records()
	shorter := put(1, "192.0.2.1/32")
	shorter.Lifetime = dots.Some[dots.Lifetime](600)
	r.asks("a", shorter, 9)
	if _, now := r.records(); !bytes.Equal(now, prolonged) {
		t.Errorf("recorded %s", now)
	}
	r.boot()
	if got := r.left(); got != 600 {
		t.Errorf("after a restart %d s are left, want 600", got)
	}
	for _, lifetime := range []dots.Lifetime{dots.Indefinite, 3600} {
		shorter.Lifetime = dots.Some(lifetime)
		r.asks("a", shorter, 9)
		r.boot()
		if got := r.left(); got != lifetime {
			t.Errorf("after a restart %d s are left, want %d", got, lifetime)
		}
	}
}

// TestAnExpiryGoesWithItsMitigation, however that ends.
func TestAnExpiryGoesWithItsMitigation(t *testing.T) {
	key := dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "cuid-a"}, MID: 1}
	tests := map[string]func(*rig){
		"withdrawn":                 func(r *rig) { r.step(Withdraw{r.ticket("delete"), key}) },
		"expired":                   func(r *rig) { r.advance(2 * time.Hour) },
		"superseded":                func(r *rig) { r.asks("a", put(2, "192.0.2.1/32"), 9) },
		"withdrawn after a restart": func(r *rig) { r.boot(); r.step(Withdraw{r.ticket("delete"), key}) },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			r := prolongedRig(t)
			end(r)
			if own, prolonged := r.records(); own != nil || prolonged != nil {
				t.Errorf("left: %s and %s", own, prolonged)
			}
		})
	}
}

// TestAFailedRefreshProlongsNothing, even where the disk has it all the same: what is true is written again.
func TestAFailedRefreshProlongsNothing(t *testing.T) {
	for _, kept := range []bool{false, true} {
		r := prolongedRig(t)
		_, before := r.records()
		r.manual = true
		r.asks("a", put(1, "192.0.2.1/32"), 9)
		r.fail(false, kept)
		if got := r.left(); got != 50*60 {
			t.Errorf("%d s are left, want those of before", got)
		}
		r.manual = false
		r.advance(time.Minute)
		if _, now := r.records(); !bytes.Equal(now, before) {
			t.Errorf("kept %t: recorded %s, want %s", kept, now, before)
		}
		own, _ := r.records()
		r.asks("a", put(1, "192.0.2.1/32"), 9)
		if now, _ := r.records(); bytes.Equal(now, own) {
			t.Errorf("kept %t: after a failure a record is not written whole", kept)
		}
	}
}

// TestAnExpiryWithoutAMitigationIsDeleted, but where that cannot be read.
func TestAnExpiryWithoutAMitigationIsDeleted(t *testing.T) {
	r := prolongedRig(t)
	with := maps.Clone(r.disk)
	own := identity{kindMitigation, "a\x00cuid-a\x00" + "1"}
	delete(r.disk, own)
	r.boot()
	r.commit()
	if _, prolonged := r.records(); prolonged != nil {
		t.Errorf("left: %s", prolonged)
	}
	r.disk, r.damaged = with, true
	r.disk[own] = []byte("{")
	r.boot()
	r.commit()
	if _, prolonged := r.records(); prolonged == nil {
		t.Error("deleted beside a record that was put aside")
	}
}

// TestBadExpiriesArePutAside: a key that is none, a value that is no record.
func TestBadExpiriesArePutAside(t *testing.T) {
	r := newRig(t, CoreConfig{})
	for _, bad := range []store.Record{
		{Kind: kindProlonged, Key: "a", Value: []byte("{}")},
		{Kind: kindProlonged, Key: "a\x00cuid-a\x00" + "1", Value: []byte("{")},
	} {
		if err := r.core.Restore(r.now, bad); err == nil {
			t.Errorf("%q %s is used", bad.Key, bad.Value)
		}
	}
}

// TestAnExpiryThatSaysNothing: it is not the newer one, is of another lifetime, or names more than the lifetime from now.
func TestAnExpiryThatSaysNothing(t *testing.T) {
	for _, tt := range []struct {
		record prolongedRecord
		left   dots.Lifetime
	}{
		{prolongedRecord{Expires: 1003600, Lifetime: 3600}, 3000}, // as the mitigation's own
		{prolongedRecord{Expires: 1003000, Lifetime: 3600}, 3000},
		{prolongedRecord{Expires: 1004000, Lifetime: 7200}, 3000},
		{prolongedRecord{Expires: 1004000, Lifetime: dots.Indefinite}, 3000},
		{prolongedRecord{Expires: 1003601, Lifetime: 3600}, 3001},
		{prolongedRecord{Expires: 1 << 40, Lifetime: 3600}, 3600},
		{prolongedRecord{Expires: -1 << 40, Lifetime: 3600}, 3000},
		{prolongedRecord{}, 3000},
	} {
		r := newRig(t, CoreConfig{})
		r.asks("a", put(1, "192.0.2.1/32"), 9)
		r.advance(10 * time.Minute)
		r.disk[identity{kindProlonged, "a\x00cuid-a\x00" + "1"}] = encode(tt.record)
		r.boot()
		if got := r.left(); got != tt.left {
			t.Errorf("%+v: %d s are left, want %d", tt.record, got, tt.left)
		}
	}
}

// TestExpiriesAreWrittenAsJSONWritesThem, whatever is in them.
func TestExpiriesAreWrittenAsJSONWritesThem(t *testing.T) {
	for range 100 {
		v := prolongedRecord{rand.Int64() >> rand.IntN(63), dots.Lifetime(rand.Int32())}
		if got, want := v.value(), encode(v); !bytes.Equal(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { prolongedRecord{1 << 31, 1 << 20}.value() }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}
