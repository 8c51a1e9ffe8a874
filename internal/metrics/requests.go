package metrics

import (
	"sync/atomic"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/prometheus/client_golang/prometheus"
)

// methods is how many labels a method has: "other" and the four.
const methods = int(MethodDelete) + 1

// requestCounters finds the counter of a request without its labels' text: making and hashing that is most of what
// counting a request costs, and every request passes here. A counter is remembered when it is first used, so that
// combinations that never come have no series.
type requestCounters struct {
	vec  *prometheus.CounterVec
	seen [sides][methods][1 << 8]atomic.Pointer[prometheus.Counter] // by side, method and code
}

func (r *requestCounters) of(side Side, method Method, code dots.Code) prometheus.Counter {
	if side >= sides {
		return r.vec.WithLabelValues(side.String(), method.String(), codeLabel(code))
	}
	if int(method) >= methods {
		method = 0
	}
	place := &r.seen[side][method][code]
	if c := place.Load(); c != nil {
		return *c
	}
	c := r.vec.WithLabelValues(side.String(), method.String(), codeLabel(code))
	place.Store(&c)
	return c
}
