package downstream

import (
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// fakeCore is a Core that notes what it is asked and answers as told.
type fakeCore struct {
	mu        sync.Mutex
	names     map[string]string // certificate name or PSK identity -> client entry
	asks      []dots.Ask
	withdrawn []dots.MitigationKey
	asked     []dots.MitigationKey // Reports: mid 0 for all
	presence  []string             // "back a", "gone a 7m30s", "lost a"
	spans     []time.Duration      // of those that came

	answer  dots.Answer
	err     error // of Mitigate and Withdraw
	hold    bool  // Mitigate's done is kept for release
	held    []func(dots.Answer, error)
	reports func() ([]dots.Report, error)
}

func newFakeCore() *fakeCore {
	return &fakeCore{
		names:   map[string]string{"a.example": "a", "b.example": "b", "gw.example": "gw"},
		answer:  dots.Answer{Code: dots.CodeCreated, MID: 1, Lifetime: 3600},
		reports: func() ([]dots.Report, error) { return nil, dots.Refuse(dots.CodeNotFound, "no such mitigation") },
	}
}

func (c *fakeCore) Identify(cred dots.Credential) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range append(slices.Clone(cred.Names), cred.PSKIdentity) {
		if client, ok := c.names[name]; ok {
			return client, true
		}
	}
	return "must not be used", false
}

func (c *fakeCore) Mitigate(ask dots.Ask, done func(dots.Answer, error)) {
	c.mu.Lock()
	c.asks = append(c.asks, ask)
	answer, err, hold := c.answer, c.err, c.hold
	if hold {
		c.held = append(c.held, done)
	}
	c.mu.Unlock()
	if !hold {
		done(answer, err)
	}
}

func (c *fakeCore) Withdraw(key dots.MitigationKey, done func(error)) {
	c.mu.Lock()
	c.withdrawn = append(c.withdrawn, key)
	err := c.err
	c.mu.Unlock()
	go done(err) // from another goroutine, as a real core does
}

func (c *fakeCore) Reports(client dots.Client, mid dots.Maybe[uint32], done func([]dots.Report, error)) {
	c.mu.Lock()
	c.asked = append(c.asked, dots.MitigationKey{Client: client, MID: mid.Value})
	reports := c.reports
	c.mu.Unlock()
	done(reports())
}

func (c *fakeCore) ClientGone(client string, in time.Duration) {
	if in == 0 {
		c.note("lost " + client)
		return
	}
	c.note("gone " + client + " " + in.String())
}

func (c *fakeCore) ClientBack(client string, span time.Duration) {
	c.note("back " + client)
	c.set(func(c *fakeCore) { c.spans = append(c.spans, span) })
}

func (c *fakeCore) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.presence = append(c.presence, what)
}

// set changes the fake under its lock.
func (c *fakeCore) set(change func(*fakeCore)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// report makes the core report these from now on.
func (c *fakeCore) report(reports ...dots.Report) {
	c.set(func(c *fakeCore) { c.reports = func() ([]dots.Report, error) { return reports, nil } })
}

// fail makes the core refuse to report from now on.
func (c *fakeCore) fail(code dots.Code) {
	c.set(func(c *fakeCore) {
		c.reports = func() ([]dots.Report, error) { return nil, dots.Refuse(code, "") }
	})
}

// calls returns how often the core was asked to do or to tell something.
func (c *fakeCore) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asks) + len(c.withdrawn) + len(c.asked)
}

// presences returns what was told of clients so far.
func (c *fakeCore) presences() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.presence)
}

// lastAsk returns the newest mitigation request.
func (c *fakeCore) lastAsk() dots.Ask {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asks) == 0 {
		return dots.Ask{}
	}
	return c.asks[len(c.asks)-1]
}
