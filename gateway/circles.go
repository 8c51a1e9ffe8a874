package gateway

import (
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

const (
	// circleKept is how long it is remembered that a request came round in a circle.
	circleKept = 30 * time.Second
	// maxCircles bounds what is remembered of a client entry; the oldest is forgotten first, and is found again by its Hop-Limit.
	maxCircles = 64
)

// circle is a target that a client asked for when the request had come round in a circle.
type circle struct {
	target dots.Target
	until  time.Time
}

// cameRound remembers that a mitigation which shared a leg came round in a circle. Those it shared the leg with are asked for without it: where
// theirs is the request that goes round, it comes back by the same client, and must find an end there, or it would go round for ever.
func (c *Core) cameRound(m *mitigation) {
	name := m.key.Client.Name
	list := slices.DeleteFunc(c.circles[name], func(k circle) bool { return passed(k.until, c.now) })
	if len(list) >= maxCircles {
		list = slices.Delete(list, 0, 1)
	}
	c.circles[name] = append(list, circle{m.asked.Target, c.now.Add(circleKept)})
}

// comesRound reports whether a new request is one that came round in a circle a moment ago (RFC 8768, Section 3).
func (c *Core) comesRound(ask dots.Ask) bool {
	return slices.ContainsFunc(c.circles[ask.Client.Name], func(k circle) bool {
		return !passed(k.until, c.now) && k.target.Equal(ask.Request.Target)
	})
}
