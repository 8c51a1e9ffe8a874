package wire

import (
	"math"
	"strings"
	"testing"
)

// nested returns arrays, one in the other.
func nested(depth int) []byte {
	return []byte(strings.Repeat("\x81", depth-1) + "\x80")
}

func TestCheckLimits(t *testing.T) {
	pairs := func(n int) map[int]int {
		m := map[int]int{}
		for i := range n {
			m[i] = i
		}
		return m
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"number", []byte{0x00}, true},
		{"nothing", nil, false},
		{"nesting at the limit", nested(MaxNesting), true},
		{"nesting beyond", nested(MaxNesting + 1), false},
		{"array at the limit", marshal(t, make([]int, MaxArray)), true},
		{"array beyond", marshal(t, make([]int, MaxArray+1)), false},
		{"map at the limit", marshal(t, pairs(MaxMap)), true},
		{"map beyond", marshal(t, pairs(MaxMap+1)), false},
		{"indefinite array", []byte{0x9f, 0xff}, false},
		{"indefinite map", []byte{0xbf, 0xff}, false},
		{"indefinite text", []byte{0x7f, 0xff}, false},
		{"break alone", []byte{0xff}, false},
		{"trailing byte", []byte{0x00, 0x00}, false},
		{"cut off", []byte{0x82, 0x00}, false},
		{"announced array", []byte{0x99, 0x04, 0x00}, false},
		{"text too long", []byte{0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
		{"length beyond 63 bits", []byte{0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
		{"reserved head", []byte{0x1c}, false},
		{"not a number", marshal(t, math.NaN()), false},
		{"infinity", marshal(t, math.Inf(-1)), false},
		{"tag without content", []byte{0xc4}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := NewChecker().Check(tt.payload)
			if tt.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tt.ok {
				isBadRequest(t, err)
			}
		})
	}
}

func TestCheckDuplicateKeys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		ok      bool
	}{
		{"ascending", []byte{0xa2, 1, 0, 2, 0}, true},
		{"descending", []byte{0xa2, 2, 0, 1, 0}, true},
		{"twice", []byte{0xa2, 1, 0, 1, 0}, false},
		{"twice, apart", []byte{0xa3, 1, 0, 2, 0, 1, 0}, false},
		{"twice, longer head", []byte{0xa2, 1, 0, 0x18, 1, 0}, false},
		{"twice, negative", []byte{0xa2, 0x20, 0, 0x20, 0}, false},
		{"number and its negative", []byte{0xa2, 0, 0, 0x20, 0}, true},
		{"twice, text", []byte{0xa2, 0x61, 'a', 0, 0x61, 'a', 0}, false},
		{"twice, text of longer head", []byte{0xa2, 0x61, 'a', 0, 0x78, 1, 'a', 0}, false},
		{"text and bytes", []byte{0xa2, 0x61, 'a', 0, 0x41, 'a', 0}, true},
		{"twice, array", []byte{0xa2, 0x81, 1, 0, 0x81, 1, 0}, false},
		{"in an array", []byte{0x81, 0xa2, 1, 0, 1, 0}, false},
		{"in a tag", []byte{0xc1, 0xa2, 1, 0, 1, 0}, false},
		{"in a value", []byte{0xa1, 5, 0xa2, 1, 0, 1, 0}, false},
		{"in a key", []byte{0xa1, 0xa2, 1, 0, 1, 0, 5}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := NewChecker().Check(tt.payload)
			if tt.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tt.ok {
				isBadRequest(t, err)
			}
		})
	}
}

func FuzzCheckThenWalk(f *testing.F) {
	f.Add([]byte{0xa2, 2, 0x81, 0xf5, 1, 0xc4, 0x82, 0x21, 0x18, 0x96})
	f.Add(nested(8))
	checker := NewChecker()
	f.Fuzz(func(t *testing.T, payload []byte) {
		if checker.Check(payload) != nil {
			return
		}
		w := Walk(payload)
		w.Skip()
		if !w.Done() {
			t.Errorf("%d bytes left of an item that was accepted", w.Rest())
		}
		for _, read := range []func(w *Walker) bool{
			func(w *Walker) bool { _, ok := w.Uint(); return ok },
			func(w *Walker) bool { _, ok := w.Int(); return ok },
			func(w *Walker) bool { _, ok := w.Text(); return ok },
			func(w *Walker) bool { _, ok := w.Bool(); return ok },
			func(w *Walker) bool { _, ok := w.Float(); return ok },
			func(w *Walker) bool { _, ok := w.Decimal(); return ok },
			(*Walker).Null,
		} {
			if w := Walk(payload); read(&w) != w.Done() {
				t.Errorf("a read of %x moved by %d", payload, len(payload)-w.Rest())
			}
		}
	})
}
