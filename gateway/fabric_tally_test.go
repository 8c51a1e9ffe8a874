package gateway

import (
	"fmt"
	"sync"
)

// counts is what a seed played.
type counts struct {
	requests, granted int
	foreign, escapes  int // requests for what is not their client's own; those of them that were accepted or went up
	thefts, takeovers int // requests under another client's cuid; those of them that were accepted
	cdids, passed     int // requests with a cdid of the client's own, who is not trusted to supply one; legs that told a cdid that they must not
}

// note counts a request.
func (c *counts) note(q request) {
	c.requests++
	if q.cdid != "" && !gatewayOf(q.key.Client.Name) {
		c.cdids++
	}
	switch {
	case q.thief:
		c.thefts++
	case !q.allowed:
		c.foreign++
	}
}

// wronged counts a request that was accepted and must not have been.
func (c *counts) wronged(q *request) {
	if q.thief {
		c.takeovers++
	} else {
		c.escapes++
	}
}

// tally adds up what all seeds played. Safe for concurrent use.
type tally struct {
	mu sync.Mutex
	counts
	seeds, failed int
}

func (a *tally) add(c *counts, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seeds++
	if failed {
		a.failed++
	}
	a.requests, a.granted = a.requests+c.requests, a.granted+c.granted
	a.foreign, a.escapes = a.foreign+c.foreign, a.escapes+c.escapes
	a.thefts, a.takeovers = a.thefts+c.thefts, a.takeovers+c.takeovers
	a.cdids, a.passed = a.cdids+c.cdids, a.passed+c.passed
}

func (a *tally) String() string {
	return fmt.Sprintf("model: %d requests of %d seeds, %d accepted, %d seeds failed; %d asked for what is another's: %d escaped; "+
		"%d under another's cuid: %d took it over; %d with a cdid of the client's own: %d passed",
		a.requests, a.seeds, a.granted, a.failed, a.foreign, a.escapes, a.thefts, a.takeovers, a.cdids, a.passed)
}
