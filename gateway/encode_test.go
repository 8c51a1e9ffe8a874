package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// fill gives a value of any kind that records are made of random contents, empty, nil and odd ones among them. A field that is new to a record is
// filled, too.
func fill(rng *rand.Rand, v reflect.Value) {
	if p, ok := v.Addr().Interface().(*netip.Prefix); ok {
		*p = [...]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128"), {}}[rng.IntN(3)]
		return
	}
	if rng.IntN(3) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rng, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString([...]string{"plain", "", "a b~!", "q\"uote", `back\slash`, "<&>", "tab\t", "\x7f", "ümlaut\u2028", "bad\xff"}[rng.IntN(10)])
	case reflect.Bool:
		v.SetBool(true)
	default:
		if v.CanInt() {
			v.SetInt(rng.Int64() >> rng.IntN(60) * int64(1-2*rng.IntN(2)))
			return
		}
		v.SetUint(rng.Uint64() >> rng.IntN(60) & (1<<(v.Type().Bits()-1)*2 - 1))
	}
}

// TestMitigationRecordsAreWrittenAsJSONWritesThem, whatever is in them.
func TestMitigationRecordsAreWrittenAsJSONWritesThem(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]bool{}
	for range 3000 {
		var v mitigationRecord
		for i := range reflect.TypeFor[mitigationRecord]().NumField() {
			fill(rng, reflect.ValueOf(&v).Elem().Field(i))
		}
		want := string(encode(v))
		if got := string(encodeMitigation(&v)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		note(t, seen, want)
	}
	for i := range reflect.TypeFor[requestRecord]().NumField() {
		if name := reflect.TypeFor[requestRecord]().Field(i).Name; !seen["Asked."+name] {
			t.Errorf("no request had %s", name)
		}
	}
}

// note notes which members a record had.
func note(t *testing.T, seen map[string]bool, text string) {
	t.Helper()
	var v struct{ Asked map[string]any }
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&v); err != nil {
		t.Fatal(err)
	}
	for name := range v.Asked {
		seen["Asked."+name] = true
	}
}

// TestWritingARecordCostsLittle: it is done at each refresh.
func TestWritingARecordCostsLittle(t *testing.T) {
	v := mitigationRecord{Asked: requestRecord{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Protocols: []uint8{6}}}
	least := 1e9
	for range 5 {
		least = min(least, testing.AllocsPerRun(100, func() { encodeMitigation(&v) }))
	}
	if least > 1 {
		t.Errorf("%v allocations, want 1", least)
	}
}
