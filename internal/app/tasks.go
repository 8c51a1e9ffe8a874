package app

import (
	"context"
	"sync"
)

// task is a part that runs until its context ends.
type task interface {
	Run(ctx context.Context) error
}

// tasks are parts that come and go while the gateway runs. Their Run may fail in no way that matters to others.
type tasks struct {
	mu   sync.Mutex
	life context.Context             // of run; nil: it is not under way. It spans calls, so it stands here
	ends map[task]context.CancelFunc // nil: waits for run
	wait sync.WaitGroup
}

// add lets a part run, at once or as soon as run does. One that is there already is left alone.
func (t *tasks) add(part task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ends == nil {
		t.ends = map[task]context.CancelFunc{}
	}
	if _, known := t.ends[part]; known {
		return
	}
	t.ends[part] = nil
	if t.life != nil {
		t.start(part)
	}
}

// start starts a part. The lock is held.
func (t *tasks) start(part task) {
	ctx, end := context.WithCancel(t.life)
	t.ends[part] = end
	t.wait.Go(func() { _ = part.Run(ctx) }) // it ends when it is told to
}

// end ends a part, without waiting for it.
func (t *tasks) end(part task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if end := t.ends[part]; end != nil {
		end()
	}
	delete(t.ends, part)
}

// run lets the parts run until ctx ends, and waits for them.
func (t *tasks) run(ctx context.Context) error {
	t.mu.Lock()
	t.life = ctx
	for part := range t.ends {
		t.start(part)
	}
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	t.life = nil // nothing starts any more
	t.mu.Unlock()
	t.wait.Wait()
	return nil
}
