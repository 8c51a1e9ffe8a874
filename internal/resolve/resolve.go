// Package resolve looks up the addresses of names in the DNS, with a bounded cache and, on demand, only with DNSSEC.
//
// A lookup is all or nothing: the gateway decides by the addresses whether a client may have a name protected, and a
// part of them must never pass for the whole.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The errors of a lookup. What Lookup returns wraps one of them, or the error of a cancelled context.
var (
	// ErrName: the name is not one that a host can have. Nothing was asked.
	ErrName = errors.New("name is not valid")

	// ErrNotFound: the name does not exist or has no addresses.
	ErrNotFound = errors.New("name has no addresses")

	// ErrTimeout: no server answered in time.
	ErrTimeout = errors.New("no answer in time")

	// ErrInsecure: DNSSEC is required and an answer was not validated.
	ErrInsecure = errors.New("answer is not validated")

	// ErrFailed: the servers answered, but with a refusal, a failure or something that makes no sense.
	ErrFailed = errors.New("lookup failed")
)

// Answer is the outcome of a successful lookup.
type Answer struct {
	// Addresses are sorted and without repeats; there is at least one. The caller owns the slice.
	Addresses []netip.Addr

	// TTL says how long the addresses hold from now on.
	TTL time.Duration
}

// Resolver looks names up. It is safe for concurrent use. Make one with New.
type Resolver struct {
	cfg    Config
	static map[string][]netip.Addr
	ask    exchanger
	cache  *lru.Cache[string, entry]
	slots  chan struct{} // one token for each lookup that may ask at the same time
}

// entry is a finding that holds until the given time; err is nil or wraps ErrNotFound.
type entry struct {
	addresses []netip.Addr
	err       error
	until     time.Time
}

// New checks the configuration, reads the files it names and returns a resolver. It asks no server.
func New(cfg Config) (*Resolver, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuring the resolver: %w", err)
	}
	static, err := staticNames(cfg.Static)
	if err != nil {
		return nil, fmt.Errorf("configuring the resolver: %w", err)
	}
	ask, err := newExchanger(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuring the resolver: %w", err)
	}
	cache, err := lru.New[string, entry](cfg.CacheSize)
	if err != nil {
		return nil, fmt.Errorf("configuring the resolver: %w", err)
	}
	return &Resolver{cfg: cfg, static: static, ask: ask, cache: cache, slots: make(chan struct{}, cfg.MaxConcurrent)}, nil
}

// Lookup returns all IPv4 and IPv6 addresses of the name, following aliases. It blocks for as long as the servers take:
// at most Timeout for each try, two tries for each server, two queries at a time, and for each link of a chain of
// aliases that the server does not follow itself. More than MaxConcurrent lookups at a time wait for each other.
// Findings, "not found" among them, are kept for their time to live; failures are not.
func (r *Resolver) Lookup(ctx context.Context, name string) (Answer, error) {
	name, err := CheckName(name)
	if err != nil {
		return Answer{}, err
	}
	if addresses, ok := r.static[name]; ok {
		return Answer{Addresses: slices.Clone(addresses), TTL: r.cfg.MaxTTL}, nil
	}
	if e, ok := r.cached(name); ok {
		return r.answer(e)
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Answer{}, contextError(ctx.Err())
	}
	// Somebody may have found it while we waited.
	if e, ok := r.cached(name); ok {
		return r.answer(e)
	}
	e, err := r.find(ctx, name)
	if err != nil {
		return Answer{}, fmt.Errorf("looking up %s: %w", name, err)
	}
	r.cache.Add(name, e)
	return r.answer(e)
}

func (r *Resolver) cached(name string) (entry, bool) {
	e, ok := r.cache.Get(name)
	if !ok || !r.cfg.Now().Before(e.until) {
		return entry{}, false
	}
	return e, true
}

func (r *Resolver) answer(e entry) (Answer, error) {
	if e.err != nil {
		return Answer{}, e.err
	}
	return Answer{Addresses: slices.Clone(e.addresses), TTL: e.until.Sub(r.cfg.Now())}, nil
}

func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return err
}
