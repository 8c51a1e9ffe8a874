package prefetch

import (
	"io"
	"strings"
	"testing"
)

// piece is some lines of memory.
type piece [5 * 64]byte

// TestNothingHappens: memory may be asked for that is there, that is not, and that has no address in this process: nothing is read and nothing changes.
func TestNothingHappens(t *testing.T) {
	var p piece
	for i := range p {
		p[i] = byte(i)
	}
	before := p
	for name, ask := range map[string]func(){
		"all":               func() { Of(&p) },
		"none":              func() { Of[piece](nil) },
		"nothing in it":     func() { Of(new(struct{})) },
		"a part":            func() { Part(&p, 60, 8) },
		"a part of none":    func() { Part[piece](nil, 64, 64) },
		"beyond its end":    func() { Part(&p, 1<<20, 64) },
		"more than it has":  func() { Part(&p, 64, ^uintptr(0)-64) },
		"behind":            func() { Behind(&p, 0, 64) },
		"behind none":       func() { Behind(nil, 0, 64) },
		"behind an address": func() { Behind((*piece)(nil), 0, 64) },
		"far from anything": func() { Behind(&p, 1<<60, 4096) },
		"an empty part":     func() { Behind(&p, 64, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			ask()
			if p != before {
				t.Error("the memory has changed")
			}
		})
	}
}

// TestAllocates: it is for what is done for each datagram.
func TestAllocates(t *testing.T) {
	var p piece
	var v io.Reader = strings.NewReader("text")
	if n := testing.AllocsPerRun(100, func() {
		Of(&p)
		Behind(v, 0, 64)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
