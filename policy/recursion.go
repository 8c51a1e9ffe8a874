package policy

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Exceeds reports whether a mitigation is more than the local mitigators of its domain can bear: r is what they report of it, mitigations counts the live ones
// of the domain. One that recursed already goes on exceeding until all is below the Low share of its threshold, so that it does not go
// to and fro. Of a domain without rules nothing exceeds.
//
// RFC 8811, Section 3.2.3: a gateway may ask another domain for mitigation when its own capacity is exceeded.
func (p *Policy) Exceeds(domain string, r dots.Report, mitigations int, recursed bool) bool {
	d := p.domains[domain]
	if d == nil {
		return false
	}
	w := d.watch
	if w.OnExceeded && r.Status == dots.StatusExceeded {
		return true
	}
	over := func(value, threshold uint64) bool {
		if threshold == 0 {
			return false
		}
		if recursed {
			return float64(value) >= w.Low*float64(threshold)
		}
		return value > threshold
	}
	return over(r.Counters.PktsPerSecond.Value, w.PktsPerSecond) || over(r.Counters.BytesPerSecond.Value, w.BytesPerSecond) ||
		over(uint64(max(mitigations, 0)), uint64(max(w.Mitigations, 0)))
}

// RecursionHold returns how long a mitigation that recursed must not exceed before the uplinks are let go again; 0: there is no such domain.
func (p *Policy) RecursionHold(domain string) time.Duration {
	if d := p.domains[domain]; d != nil {
		return d.watch.Hold
	}
	return 0
}
