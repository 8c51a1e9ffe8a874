package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/policy"
)

// Authorizer is the AAA server.
type Authorizer interface {
	// Authorize says whether a request may be granted. It may block until ctx ends, when the answer is of no use any more. What went wrong
	// is told by Ruling.Failed. Safe for concurrent use.
	Authorize(ctx context.Context, q Consult) policy.Ruling
}

// line is where questions of one kind wait for workers. Client entries take turns, and none has more than half of the workers at a time, so
// that one with slow answers holds up no other. Safe for concurrent use.
type line struct {
	workers int
	limit   int // questions that may wait
	patient time.Duration

	mu     sync.Mutex
	of     map[string]*turn // client entries that have questions, waiting or being asked
	order  []*turn          // those that wait, next first
	length int
	wake   chan struct{} // holds one token while a question may be taken
}

// turn is what a client entry has in a line.
type turn struct {
	client  string
	waiting []late
	busy    int // workers
}

// late is a question that is of no use any more after a time; zero: for ever.
type late struct {
	Question
	until time.Time
}

// newLine makes a line. Questions wait for workers at most for as long as patient, if it is not 0: then nobody waits for their answers.
func newLine(workers, limit int, patient time.Duration) *line {
	return &line{workers: workers, limit: limit, patient: patient, of: map[string]*turn{}, wake: make(chan struct{}, 1)}
}

// push puts a question in; false: the line is full.
func (l *line) push(q Question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.length >= l.limit {
		return false
	}
	t := l.of[q.client()]
	if t == nil {
		t = &turn{client: q.client()}
		l.of[t.client] = t
	}
	if len(t.waiting) == 0 {
		l.order = append(l.order, t)
	}
	entry := late{Question: q}
	if l.patient > 0 {
		entry.until = time.Now().Add(l.patient)
	}
	t.waiting = append(t.waiting, entry)
	l.length++
	l.signal()
	return true
}

func (l *line) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next takes the question whose turn it is; false: none may be taken now.
func (l *line) next() (late, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range l.order {
		if t.busy >= max(l.workers/2, 1) {
			continue
		}
		q := t.waiting[0]
		t.waiting = t.waiting[1:]
		t.busy++
		l.length--
		l.order = append(l.order[:i], l.order[i+1:]...)
		if len(t.waiting) > 0 {
			l.order = append(l.order, t)
		}
		if len(l.order) > 0 {
			l.signal() // for another worker
		}
		return q, true
	}
	return late{}, false
}

// done notes that a worker is through with a question of a client entry, and asks for the next one itself.
func (l *line) done(client string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.of[client]
	t.busy--
	if t.busy == 0 && len(t.waiting) == 0 {
		delete(l.of, client)
	}
}

// run lets the line's workers ask until ctx ends, and waits for them.
func (l *line) run(ctx context.Context, ask func(context.Context, Question)) {
	var all sync.WaitGroup
	for range l.workers {
		all.Go(func() { l.work(ctx, ask) })
	}
	all.Wait()
}

// work is a worker.
func (l *line) work(ctx context.Context, ask func(context.Context, Question)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for ctx.Err() == nil {
			q, ok := l.next()
			if !ok {
				break
			}
			l.answer(ctx, q, ask)
		}
	}
}

// answer has one question asked, unless nobody waits for its answer any more.
func (l *line) answer(ctx context.Context, q late, ask func(context.Context, Question)) {
	defer l.done(q.client())
	if q.until.IsZero() {
		ask(ctx, q.Question)
		return
	}
	if ctx, cancel := context.WithDeadline(ctx, q.until); ctx.Err() == nil {
		defer cancel()
		ask(ctx, q.Question)
	} else {
		cancel()
	}
}

// ask puts a question into its line; false: that is full.
func (g *Gateway) ask(q Question) bool {
	if _, ok := q.(Consult); ok {
		return g.consults.push(q)
	}
	return g.names.push(q)
}

// lookup asks the resolver for a name.
func (g *Gateway) lookup(ctx context.Context, q Question) {
	name := q.(Resolve).Name
	if g.cfg.Resolver == nil {
		g.box.deliver(q.unanswered())
		return
	}
	addrs, ttl, err := g.cfg.Resolver.Resolve(ctx, name)
	if err != nil {
		g.cfg.Logger.Warn("name not resolved", "name", name, "error", err.Error())
		g.box.deliver(q.unanswered())
		return
	}
	g.box.deliver(Resolved{Name: name, Addresses: addrs, TTL: ttl})
}

// authorize asks the AAA server for a ruling.
func (g *Gateway) authorize(ctx context.Context, q Question) {
	if g.cfg.Authorizer == nil {
		g.box.deliver(q.unanswered())
		return
	}
	consult := q.(Consult)
	g.box.deliver(consult.ruled(g.cfg.Authorizer.Authorize(ctx, consult)))
}
