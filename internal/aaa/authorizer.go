package aaa

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Fail is what holds while the server is silent.
type Fail string

// The fail modes.
const (
	// FailClosed: the decision is Failed.
	FailClosed Fail = "closed"
	// FailLastKnown: what the server said last of the same request holds, up to Config.MaxStale; otherwise Failed.
	FailLastKnown Fail = "last-known"
)

// What is taken where the Config says nothing.
const (
	DefaultWait      = 1500 * time.Millisecond
	DefaultTimeout   = 10 * time.Second
	DefaultAllowTTL  = time.Minute
	DefaultDenyTTL   = 10 * time.Second
	DefaultMaxStale  = 24 * time.Hour
	DefaultCacheSize = 10_000
	DefaultMaxAsking = 512
)

// Config is what an Authorizer is made of.
type Config struct {
	// RADIUS or HTTP says whom to ask. Exactly one is required.
	RADIUS *RADIUSConfig
	HTTP   *HTTPConfig
	// Fail is what holds while the server is silent. Empty: FailClosed.
	Fail Fail
	// Wait is how long Authorize waits for the server. Zero: DefaultWait, which is less than the core's patience with a request.
	// The question goes on: its answer serves the client's next try.
	Wait time.Duration
	// Timeout bounds a question, over all servers and repeats. Zero: DefaultTimeout.
	Timeout time.Duration
	// AllowTTL and DenyTTL are how long an answer is taken again without asking. Zero: DefaultAllowTTL and DefaultDenyTTL;
	// negative: never.
	AllowTTL, DenyTTL time.Duration
	// MaxStale is the greatest age of an answer that FailLastKnown takes. Zero: DefaultMaxStale.
	MaxStale time.Duration
	// CacheSize is how many answers are kept; when it is full, the one used longest ago is forgotten. Zero: DefaultCacheSize.
	CacheSize int
	// MaxAsking bounds the questions under way; beyond it the server counts as silent. Zero: DefaultMaxAsking.
	MaxAsking int
	// Meter counts. Nil: nothing is counted.
	Meter Meter
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// server is who is asked. An error is silence: nothing usable came before ctx ended, or ever will.
type server interface {
	ask(ctx context.Context, r Request) (Decision, error)
	// run serves ask until ctx ends, and waits for what it started.
	run(ctx context.Context)
}

// Authorizer answers from what it knows, or asks. Safe for concurrent use.
type Authorizer struct {
	cfg    Config
	server server
	kept   *lru.Cache[key, answer]
	life   context.Context // ends with Run; it spans calls, so it stands here
	end    context.CancelFunc

	mu     sync.Mutex
	over   bool // Run has ended; nothing is asked any more
	asking map[key]*question
	work   sync.WaitGroup // one for each question
}

// answer is what the server said, and when.
type answer struct {
	decision Decision
	at       time.Time
}

// question is a request on its way to the server and back; what it brought is valid once done is closed.
type question struct {
	done     chan struct{}
	decision Decision
	err      error
}

// New makes an Authorizer. Files are read, nothing is sent before Run. An error names what is wrong with the config.
func New(cfg Config) (*Authorizer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("checking the config of the AAA client: %w", err)
	}
	var s server
	var err error
	if cfg.RADIUS != nil {
		s, err = newRADIUS(*cfg.RADIUS, cfg.Meter)
	} else {
		s, err = newHook(*cfg.HTTP, cfg.Meter)
	}
	if err != nil {
		return nil, err
	}
	return newAuthorizer(cfg, s)
}

func newAuthorizer(cfg Config, s server) (*Authorizer, error) {
	kept, err := lru.New[key, answer](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("making the cache of the AAA client: %w", err)
	}
	a := &Authorizer{cfg: cfg, server: s, kept: kept, asking: make(map[key]*question)}
	a.life, a.end = context.WithCancel(context.Background())
	return a, nil
}

// Run lets the servers be asked until ctx ends, and waits for all it started. Called once. Before it the servers may count as
// silent, after it they do.
func (a *Authorizer) Run(ctx context.Context) error {
	a.server.run(ctx)
	<-ctx.Done()
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.end()
	a.work.Wait()
	return nil
}

// Authorize decides about a request, from what is known or by asking. It blocks until the server has answered, for Config.Wait
// at most and never beyond ctx.
func (a *Authorizer) Authorize(ctx context.Context, r Request) Decision {
	k := r.key()
	if known, ok := a.kept.Get(k); ok && a.fresh(known) {
		return a.decided(FromCache, known.decision)
	}
	q, err := a.join(k, r)
	if err == nil {
		if err = a.wait(ctx, q); err == nil {
			return a.decided(FromServer, q.decision)
		}
	}
	if known, ok := a.kept.Peek(k); ok && a.cfg.Fail == FailLastKnown && a.age(known) <= a.cfg.MaxStale {
		return a.decided(FromStale, known.decision)
	}
	return a.decided(FromNobody, Decision{Failed: true, Reason: tidy(err.Error())})
}

func (a *Authorizer) decided(from Source, d Decision) Decision {
	a.cfg.Meter.Decided(from, d)
	return d
}

func (a *Authorizer) age(known answer) time.Duration { return a.cfg.Now().Sub(known.at) }

// fresh reports whether an answer may be taken again without asking.
func (a *Authorizer) fresh(known answer) bool {
	ttl := a.cfg.DenyTTL
	if known.decision.Allow {
		ttl = a.cfg.AllowTTL
	}
	return a.age(known) < ttl
}

// Why a question is not asked, or its answer not awaited.
var (
	errStopped = errors.New("stopped asking the AAA server")
	errBusy    = errors.New("too many questions to the AAA server")
	errSlow    = errors.New("AAA server has not answered in time")
)

// join asks the server, or joins the same question under way.
func (a *Authorizer) join(k key, r Request) (*question, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.asking[k]; q != nil {
		return q, nil
	}
	switch {
	case a.over:
		return nil, errStopped
	case len(a.asking) >= a.cfg.MaxAsking:
		return nil, errBusy
	}
	q := &question{done: make(chan struct{})}
	a.asking[k] = q
	a.work.Go(func() { a.ask(k, r, q) })
	return q, nil
}

// ask puts a question to the server and keeps the answer.
func (a *Authorizer) ask(k key, r Request, q *question) {
	ctx, cancel := context.WithTimeout(a.life, a.cfg.Timeout)
	defer cancel()
	began := a.cfg.Now()
	q.decision, q.err = a.server.ask(ctx, r)
	now := a.cfg.Now()
	if q.err == nil {
		a.kept.Add(k, answer{q.decision, now})
	}
	a.cfg.Meter.Asked(now.Sub(began), q.err == nil)
	a.mu.Lock()
	delete(a.asking, k)
	a.mu.Unlock()
	close(q.done)
}

// wait waits for a question's answer, but not for ever.
func (a *Authorizer) wait(ctx context.Context, q *question) error {
	patience := time.NewTimer(a.cfg.Wait)
	defer patience.Stop()
	select {
	case <-q.done:
		return q.err
	case <-patience.C:
		return errSlow
	case <-ctx.Done():
		return fmt.Errorf("asking the AAA server: %w", context.Cause(ctx))
	}
}
