package metrics

import (
	"fmt"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// Whatever its numbers, a request is counted where its labels say, the first time and later.
func TestRequestCountersAgreeWithLabels(t *testing.T) {
	m := New(Config{})
	want := map[string]float64{}
	for side := range sides + 2 {
		for method := range Method(methods + 2) {
			for code := range 1 << 8 {
				code := dots.Code(code)
				m.Request(side, method, code)
				m.Request(side, method, code)
				want[fmt.Sprintf("code=%s,method=%s,side=%s", codeLabel(code), method, side)] += 2
			}
		}
	}
	expect(t, m, NameRequests, want)
}

func TestRequestDoesNotAllocate(t *testing.T) {
	m := New(Config{})
	count := func() { m.Request(Downstream, MethodPut, dots.CodeChanged) }
	if got := testing.AllocsPerRun(100, count); got != 0 {
		t.Errorf("%v allocations for each request, want none", got)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		m.Request(Downstream, MethodPut, dots.CodeChanged)
	}
}
