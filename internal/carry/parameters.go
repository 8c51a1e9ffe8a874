package carry

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// Transmission puts a set of session parameters into those of a CoAP session, whose RepeatInterval stays as it is. What is absent, or has no
// meaning, gets its default (RFC 9132, Section 4.5.2).
func Transmission(p coap.Parameters, set dots.ConfigSet) coap.Parameters {
	d := coap.DefaultParameters()
	p.AckTimeout, p.AckRandomFactor, p.MaxRetransmit, p.ProbingRate = d.AckTimeout, d.AckRandomFactor, d.MaxRetransmit, d.ProbingRate
	if v := set.AckTimeout.Current; v.Set && v.Value > 0 {
		p.AckTimeout = time.Duration(v.Value) * 10 * time.Millisecond
	}
	if v := set.AckRandomFactor.Current; v.Set && v.Value >= 100 {
		p.AckRandomFactor = float64(v.Value) / 100
	}
	if v := set.MaxRetransmit.Current; v.Set {
		p.MaxRetransmit = int(v.Value)
		if v.Value == 0 {
			p.MaxRetransmit = -1 // zero would mean the default
		}
	}
	if v := set.ProbingRate.Current; v.Set && v.Value > 0 {
		p.ProbingRate = int(v.Value)
	}
	return p
}
