package wire

import (
	"bytes"
	"math"
	"testing"
)

func TestIntegers(t *testing.T) {
	for _, v := range []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		w := Walk(marshal(t, v))
		if got, ok := w.Uint(); !ok || got != v || !w.Done() {
			t.Errorf("%d read as %d, %v", v, got, ok)
		}
	}
	for _, v := range []int64{0, 1, -1, -24, -25, math.MaxInt64, math.MinInt64} {
		w := Walk(marshal(t, v))
		if got, ok := w.Int(); !ok || got != v || !w.Done() {
			t.Errorf("%d read as %d, %v", v, got, ok)
		}
	}
	for _, head := range []byte{0x1b, 0x3b} {
		w := Walk([]byte{head, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		if v, ok := w.Int(); ok || w.Rest() != 9 {
			t.Errorf("an integer beyond 64 bits read as %d", v)
		}
	}
}

func TestFloats(t *testing.T) {
	for _, f := range []float64{0, 1.5, -1.5, 65504, 5.960464477539063e-08, 0.00006097555160522461, 1e10, math.Pi, -4.1} {
		w := Walk(marshal(t, f)) // in its shortest form
		if got, ok := w.Float(); !ok || got != f || !w.Done() {
			t.Errorf("%v read as %v, %v", f, got, ok)
		}
		var out Writer
		out.Float(f)
		w = Walk(out.Bytes())
		if got, ok := w.Float(); !ok || got != f || len(out.Bytes()) != 9 {
			t.Errorf("%v written as %x", f, out.Bytes())
		}
	}
}

func TestWrongTypeMovesNothing(t *testing.T) {
	reads := map[string]func(w *Walker) bool{
		"uint":  func(w *Walker) bool { _, ok := w.Uint(); return ok },
		"int":   func(w *Walker) bool { _, ok := w.Int(); return ok },
		"text":  func(w *Walker) bool { _, ok := w.Text(); return ok },
		"array": func(w *Walker) bool { _, ok := w.Array(); return ok },
		"map":   func(w *Walker) bool { _, ok := w.Map(); return ok },
		"tag":   func(w *Walker) bool { _, ok := w.Tag(); return ok },
		"bool":  func(w *Walker) bool { _, ok := w.Bool(); return ok },
		"float": func(w *Walker) bool { _, ok := w.Float(); return ok },
		"null":  (*Walker).Null,
	}
	for _, tt := range []struct {
		item []byte
		is   string
	}{
		{[]byte{0x40}, ""},
		{[]byte{0x60}, "text"},
		{[]byte{0x80}, "array"},
		{[]byte{0xa0}, "map"},
		{[]byte{0xc1, 0x40}, "tag"},
		{[]byte{0xf4}, "bool"},
		{[]byte{0xf6}, "null"},
		{[]byte{0xf7}, ""},
		{[]byte{0xf9, 0, 0}, "float"},
		{[]byte{0x20}, "int"},
		{nil, ""},
	} {
		for name, read := range reads {
			w := Walk(tt.item)
			if ok := read(&w); ok != (name == tt.is) || !ok && w.Rest() != len(tt.item) {
				t.Errorf("%x read as %s: %v, %d left", tt.item, name, ok, w.Rest())
			}
		}
	}
}

func TestRaw(t *testing.T) {
	item := marshal(t, map[string]any{"a": []any{1, "x", []byte{1}, nil, 2.5, map[int]int{1: 1}}})
	w := Walk(append(item[:len(item):len(item)], 0x07))
	if got := w.Raw(); !bytes.Equal(got, item) || cap(got) != len(got) {
		t.Errorf("raw %x", got)
	}
	if v, ok := w.Uint(); !ok || v != 7 {
		t.Errorf("next %d", v)
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		item []byte
		want int64
		ok   bool
	}{
		{[]byte{0xc4, 0x82, 0x21, 0x18, 0x96}, 150, true},
		{[]byte{0xc4, 0x82, 0x20, 0x0f}, 150, true},
		{[]byte{0xc4, 0x82, 0x00, 0x02}, 200, true},
		{[]byte{0xc4, 0x82, 0x21, 0x20}, -1, true},
		{[]byte{0xc4, 0x82, 0x22, 0x0f}, 0, false},
		{[]byte{0xc4, 0x82, 0x01, 0x0f}, 0, false},
		{[]byte{0xc4, 0x81, 0x21}, 0, false},
		{[]byte{0xc4, 0x82, 0x21, 0x61, 'x'}, 0, false},
		{[]byte{0xc4, 0x82, 0x21, 0x1a, 0x80, 0, 0, 0}, 0, false},
		{[]byte{0xc5, 0x82, 0x21, 0x0f}, 0, false},
		{[]byte{0x0f}, 0, false},
	} {
		w := Walk(tt.item)
		got, ok := w.Decimal()
		if ok != tt.ok || int64(got) != tt.want || !ok && w.Rest() != len(tt.item) {
			t.Errorf("%x read as %d, %v", tt.item, got, ok)
		}
	}
	var w Writer
	w.Hundredths(150)
	if !bytes.Equal(w.Bytes(), []byte{0xc4, 0x82, 0x21, 0x18, 0x96}) {
		t.Errorf("written as %x", w.Bytes())
	}
}
