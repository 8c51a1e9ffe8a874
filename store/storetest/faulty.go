package storetest

import (
	"context"
	"sync"

	"github.com/dotsgate/dotsgate/store"
)

// Faulty is a store whose commits fail or wait on command, to prove that nothing becomes visible before it is
// durable. Commits without a command pass through. It is safe for concurrent use. Make one with NewFaulty.
type Faulty struct {
	inner store.Store

	mu      sync.Mutex
	begun   int // commits begun so far
	faults  map[int]fault
	failAll error
}

type fault struct {
	err     error
	after   bool // the inner store keeps the batch, then the error is returned
	reached chan struct{}
	release chan struct{}
}

// NewFaulty returns a faulty store around inner, which it owns from then on.
func NewFaulty(inner store.Store) *Faulty {
	return &Faulty{inner: inner, faults: make(map[int]fault)}
}

// FailCommit makes the n-th commit from now (1 is the next one) return err without keeping anything.
func (f *Faulty) FailCommit(n int, err error) { f.plan(n, fault{err: err}) }

// FailAfterCommit makes the n-th commit from now (1 is the next one) keep the batch and return err nevertheless,
// as a disk that fails after the last write.
func (f *Faulty) FailAfterCommit(n int, err error) { f.plan(n, fault{err: err, after: true}) }

// FailAll makes every commit from now on return err, until it is called with nil. Single faults go before it.
func (f *Faulty) FailAll(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAll = err
}

// BlockCommit makes the n-th commit from now (1 is the next one) wait before it keeps anything: reached is closed
// when the commit has come to that point, and release, which may be called more than once, lets it go on. A commit
// whose context ends meanwhile returns the error of the context.
func (f *Faulty) BlockCommit(n int) (reached <-chan struct{}, release func()) {
	ft := fault{reached: make(chan struct{}), release: make(chan struct{})}
	f.plan(n, ft)
	return ft.reached, sync.OnceFunc(func() { close(ft.release) })
}

// Commits returns how many commits were begun, the failed ones included.
func (f *Faulty) Commits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun
}

func (f *Faulty) plan(n int, ft fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[f.begun+n] = ft
}

func (f *Faulty) next() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	ft, ok := f.faults[f.begun]
	if !ok {
		return fault{err: f.failAll}
	}
	delete(f.faults, f.begun)
	return ft
}

// Load implements store.Store.
func (f *Faulty) Load(ctx context.Context, visit func(store.Record) error) error {
	return f.inner.Load(ctx, visit)
}

// Commit implements store.Store.
func (f *Faulty) Commit(ctx context.Context, b store.Batch) error {
	ft := f.next()
	if ft.reached != nil {
		close(ft.reached)
		select {
		case <-ft.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if ft.err != nil && !ft.after {
		return ft.err
	}
	if err := f.inner.Commit(ctx, b); err != nil {
		return err
	}
	return ft.err
}

// Close implements store.Store.
func (f *Faulty) Close() error { return f.inner.Close() }
