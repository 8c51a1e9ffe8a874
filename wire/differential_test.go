package wire

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// Whatever value is made, Writer writes it as the library does, and Walker reads it as the library does.

// anything makes a random value, nested no deeper than depth.
func anything(g *rand.Rand, depth int) any {
	kinds := 8
	if depth > 1 {
		kinds = 10
	}
	edges := []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MaxUint64}
	switch g.IntN(kinds) {
	case 0:
		return edges[g.IntN(len(edges))]
	case 1:
		return -1 - int64(edges[g.IntN(10)])
	case 2:
		return g.Uint64()
	case 3:
		return g.IntN(2) == 0
	case 4:
		return nil
	case 5, 6:
		texts := []string{"", "a", "\u00e4\u20ac\U0001f600", string(make([]byte, 23)), string(make([]byte, 24)), string(make([]byte, 300))}
		return texts[g.IntN(len(texts))]
	case 7:
		return math.Float64frombits(g.Uint64()&^(1<<62) | 1) // finite, and none that fits a shorter float
	case 8:
		list := make([]any, length(g))
		for i := range list {
			list[i] = anything(g, depth-1)
		}
		return list
	}
	members := map[any]any{}
	for range length(g) {
		var key any = g.Uint64() % 70000
		if g.IntN(8) == 0 {
			key = "k" + string(rune('a'+g.IntN(26)))
		}
		members[key] = anything(g, depth-1)
	}
	return members
}

func length(g *rand.Rand) int {
	if g.IntN(30) == 0 {
		return 24 + g.IntN(10)
	}
	return g.IntN(5)
}

// write writes a value as the callers of Writer do, keys in the order of their encoding.
func write(w *Writer, v any) {
	switch v := v.(type) {
	case uint64:
		w.Uint(v)
	case int64:
		w.Int(v)
	case bool:
		w.Bool(v)
	case nil:
		w.Raw([]byte{0xf6})
	case string:
		w.Text(v)
	case float64:
		w.Float(v)
	case []any:
		w.BeginArray()
		for _, one := range v {
			w.Element()
			write(w, one)
		}
		w.EndArray()
	case map[any]any:
		writeMap(w, v)
	}
}

func writeMap(w *Writer, v map[any]any) {
	encoded := func(key any) []byte {
		var w Writer
		write(&w, key)
		return w.Bytes()
	}
	keys := make([]any, 0, len(v))
	for key := range v {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y any) int { return bytes.Compare(encoded(x), encoded(y)) })
	w.BeginMap()
	for _, key := range keys {
		if number, ok := key.(uint64); ok {
			w.Key(number)
		} else {
			w.TextKey(key.(string))
		}
		write(w, v[key])
	}
	w.EndMap()
}

// walk reads a value by what its first byte says it is.
func walk(w *Walker) any {
	switch w.Major() {
	case MajorUint:
		v, _ := w.Uint()
		return v
	case MajorNegative:
		v, _ := w.Int()
		return v
	case MajorText:
		v, _ := w.Text()
		return string(v)
	case MajorArray:
		n, _ := w.Array()
		list := make([]any, n)
		for i := range list {
			list[i] = walk(w)
		}
		return list
	case MajorMap:
		n, _ := w.Map()
		members := make(map[any]any, n)
		for range n {
			key := walk(w)
			members[key] = walk(w)
		}
		return members
	}
	if v, ok := w.Bool(); ok {
		return v
	}
	if v, ok := w.Float(); ok {
		return v
	}
	if w.Null() {
		return nil
	}
	return "nothing that is known"
}

func TestAgainstTheLibrary(t *testing.T) {
	checker := NewChecker()
	for seed := range uint64(3000) {
		v := anything(rand.New(rand.NewPCG(seed, 1)), MaxNesting-1)
		var w Writer
		write(&w, v)
		if want := marshal(t, v); !bytes.Equal(w.Bytes(), want) {
			t.Fatalf("seed %d: written as %x, want %x", seed, w.Bytes(), want)
		}
		if err := checker.Check(w.Bytes()); err != nil {
			t.Fatalf("seed %d: %x: %v", seed, w.Bytes(), err)
		}
		var want any
		if err := cbor.Unmarshal(w.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		reader := Walk(w.Bytes())
		if diff := cmp.Diff(want, walk(&reader)); diff != "" || !reader.Done() {
			t.Fatalf("seed %d: %d bytes left\n%s", seed, reader.Rest(), diff)
		}
		skipper := Walk(append(slices.Clip(w.Bytes()), 0x07))
		skipper.Skip()
		if v, ok := skipper.Uint(); !ok || v != 7 || !skipper.Done() {
			t.Fatalf("seed %d: skipped to %d", seed, skipper.Rest())
		}
	}
}

// What Check accepts the library accepts, and what both refuse is refused for the limits that are ours.
func TestCheckAgainstTheLibrary(t *testing.T) {
	strict, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: MaxNesting, MaxArrayElements: MaxArray, MaxMapPairs: MaxMap,
		IndefLength: cbor.IndefLengthForbidden, NaN: cbor.NaNDecodeForbidden, Inf: cbor.InfDecodeForbidden, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	checker := NewChecker()
	accepted, refused := 0, 0
	for seed := range uint64(6000) {
		g := rand.New(rand.NewPCG(seed, 2))
		payload := marshal(t, anything(g, 6))
		for range g.IntN(3) {
			payload[g.IntN(len(payload))] ^= 1 << g.IntN(8)
		}
		var v any
		want, got := strict.Unmarshal(payload, &v), checker.Check(payload)
		switch {
		case want == nil && got == nil:
			accepted++
		case want != nil && got != nil:
			refused++
		case want == nil:
			t.Fatalf("seed %d: %x is refused: %v", seed, payload, got)
		case !onlyTheLibrarys(want):
			t.Fatalf("seed %d: %x is accepted, the library says %v", seed, payload, want)
		}
	}
	if accepted < 500 || refused < 500 {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}

// onlyTheLibrarys reports whether an error is about values in Go and not about the encoding: a map's key that Go cannot have, or
// what is under a tag that the library gives a meaning to.
func onlyTheLibrarys(err error) bool {
	var key *cbor.InvalidMapKeyTypeError
	var value *cbor.UnmarshalTypeError
	return errors.As(err, &key) || errors.As(err, &value) || strings.Contains(err.Error(), "tag number")
}
