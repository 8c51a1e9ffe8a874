package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

// Uplinks is the client half: it makes legs stand at the uplinks as they are wanted.
type Uplinks interface {
	// Want states legs as they are to stand at the uplink; each replaces what was wanted under its key. It must not
	// block. The whole set is stated once after the start.
	Want(uplink string, legs []dots.Leg)
	// Forget drops keys that need nothing more. It must not block.
	Forget(uplink string, keys []dots.LegKey)
	// Stated says that the whole set was stated: what stands at an uplink and was not named by now is wanted by nobody. It must not
	// block.
	Stated()
}

// Watchers is the server half: it has observers to tell.
type Watchers interface {
	// Changed says that what Reports tells of a mitigation has changed. It must not block.
	Changed(key dots.MitigationKey)
	// Mitigating says that a client entry has active mitigations, or has none any more. It is a level, told of every client entry that has some
	// once after the start; who was never told of has none. It must not block.
	Mitigating(client string, on bool)
}

// Resolver answers questions for names.
type Resolver interface {
	// Resolve returns the addresses of a name and how long they may be used. It may block until ctx ends.
	Resolve(ctx context.Context, name string) ([]netip.Addr, time.Duration, error)
}

// Meter counts what the gateway does. Every method must be quick and safe for concurrent use.
type Meter interface {
	Committed(took time.Duration, batches int, err error)
	Mailbox(depth int)
	Refused(what string) // "mitigate", "inspect" or "withdraw": the mailbox was full, or too much waits for the disk
}

// Defaults of Config.
const (
	DefaultMailbox     = 4096
	DefaultInFlight    = 4096
	DefaultResolvers   = 8
	DefaultAuthorizers = 64
)

// Config is what a Gateway needs.
type Config struct {
	Core     CoreConfig
	Store    store.Store // required; the Gateway does not close it
	Resolver Resolver    // nil: every name fails to resolve
	// Authorizer is asked where policy says so. nil: it fails each time.
	Authorizer Authorizer
	Logger     *slog.Logger     // nil: nothing is logged
	Meter      Meter            // nil: nothing is counted
	Now        func() time.Time // steady within the process; nil: time.Now
	// Wall is the time as others tell it, which may be set; nil: as Now.
	Wall func() time.Time
	// Boot names this run of the machine, and says for how long it has been running, however its clock was set; nil, or no name: not known. Lifetimes then go by
	// the wall clock over a start of ours.
	Boot func() (id string, up time.Duration)
	// Mailbox is its size in events; a quarter is kept for refreshes, withdrawals and uplinks. 0: DefaultMailbox.
	Mailbox int
	// InFlight bounds what waits for the disk: beyond it new requests get 5.03, beyond twice as much refreshes and GETs,
	// beyond four times withdrawals. 0: DefaultInFlight.
	InFlight int
	// Overloaded says that new mitigations are to be refused for now, with 5.03: refreshes, withdrawals and what uplinks say are taken all the
	// same. It is asked at each new one and must not block. nil: never.
	Overloaded func() bool
}

// Gateway is the one goroutine around the core. Its methods are safe for concurrent use.
type Gateway struct {
	cfg    Config
	policy atomic.Pointer[policy.Policy]
	core   *Core // of the loop
	clock  *clock
	box    *mailbox
	work   *committer

	names, consults *line // questions

	uplinks  Uplinks
	watchers Watchers

	known liveKeys

	// of the loop
	tickets map[Ticket]waiting
	last    Ticket
	outbox  outbox
	trouble storeLog
	timer   *time.Timer
}

// waiting is a caller behind a ticket.
type waiting struct {
	mitigate func(dots.Answer, error)
	withdraw func(error)
	inspect  func([]dots.Report, error)
	order    func(error) // an operator's
}

// call is an event with its caller.
type call struct {
	ask   Mitigate // where event is nil: the most frequent one, which costs no allocation of its own
	event func(Ticket) Event
	who   waiting
	// putNew says that it is refused while too much waits for the disk.
	putNew bool
}

// query runs in the loop, between two steps.
type query func(*Core)

// New makes a gateway from what the store holds. Connect it before Run.
func New(ctx context.Context, cfg Config) (*Gateway, error) {
	if cfg.Store == nil {
		return nil, errors.New("gateway: Store is required")
	}
	cfg.Mailbox = cmp.Or(cfg.Mailbox, DefaultMailbox)
	cfg.InFlight = cmp.Or(cfg.InFlight, DefaultInFlight)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Meter == nil {
		cfg.Meter = noMeter{}
	}
	if cfg.Overloaded == nil {
		cfg.Overloaded = func() bool { return false }
	}
	core, err := NewCore(cfg.Core)
	if err != nil {
		return nil, err
	}
	k := newClock(cfg)
	err = cfg.Store.Load(ctx, func(r store.Record) error {
		err := core.Restore(k.Now(), r)
		if r.Kind == kindClock && err == nil { // the store has it first: no record that names a time comes before it
			k.resume(core.clock)
		}
		if err != nil {
			cfg.Logger.Error("stored record cannot be used and is left aside", "kind", string(r.Kind), "key", r.Key, "error", err.Error())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	if n := len(core.aside); n > 0 {
		cfg.Logger.Error("going on without stored records", "records", n)
	}
	g := &Gateway{
		cfg: cfg, core: core, clock: k, box: newMailbox(cfg.Mailbox), work: newCommitter(cfg.Store),
		names:    newLine(DefaultResolvers, core.cfg.MaxNames, 0),
		consults: newLine(DefaultAuthorizers, core.cfg.MaxAsking, core.cfg.AnswerWait),
		tickets:  map[Ticket]waiting{},
	}
	g.policy.Store(cfg.Core.Policy)
	return g, nil
}

// Connect names the two halves. Call it once, before Run.
func (g *Gateway) Connect(u Uplinks, w Watchers) { g.uplinks, g.watchers = u, w }

// Run runs the core until ctx ends. Then it takes no new events, finishes what it accepted, and returns.
func (g *Gateway) Run(ctx context.Context) error {
	if g.uplinks == nil || g.watchers == nil {
		return errors.New("gateway: Run before Connect")
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var helpers sync.WaitGroup
	helpers.Go(func() { g.names.run(inner, g.lookup) })
	helpers.Go(func() { g.consults.run(inner, g.authorize) })
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		g.work.run(inner)
	}()
	g.timer = time.NewTimer(time.Hour)
	defer g.timer.Stop()
	g.step(Restate{})
	g.step(g.clock.reading())
	g.loop(ctx)
	g.box.close()
	g.drain()
	stop()
	g.finish(committed)
	helpers.Wait()
	return nil
}

// loop takes events until ctx ends.
func (g *Gateway) loop(ctx context.Context) {
	var spare []any
	wall := time.NewTicker(lookAtWall)
	defer wall.Stop()
	for {
		g.arm()
		select {
		case <-ctx.Done():
			return
		case o := <-g.work.result:
			g.outcome(o)
		case <-g.timer.C:
			g.step(Tick{})
		case <-wall.C:
			g.step(g.clock.reading())
		case <-g.box.wake:
			items := g.box.take(spare)
			for i, item := range items {
				g.handle(item)
				items[i] = nil
			}
			spare = items
			g.cfg.Meter.Mailbox(g.box.depth())
		}
	}
}

// arm sets the timer to the core's next deadline.
func (g *Gateway) arm() {
	at := g.core.Deadline()
	if at.IsZero() {
		g.timer.Reset(time.Hour)
		return
	}
	g.timer.Reset(max(at.Sub(g.clock.Now()), 0))
}

// drain handles what was taken in before the mailbox closed.
func (g *Gateway) drain() {
	for _, item := range g.box.take(nil) {
		g.handle(item)
	}
}

// finish waits for the last commits and answers everybody who still waits.
func (g *Gateway) finish(committed <-chan struct{}) {
	for done := false; !done; {
		select {
		case o := <-g.work.result:
			g.outcome(o)
		case <-committed:
			done = true
			select {
			case o := <-g.work.result:
				g.outcome(o)
			default:
			}
		}
	}
	for _, t := range slices.Sorted(maps.Keys(g.tickets)) {
		g.reply(Reply{Ticket: t, Err: errStopping()})
	}
}

// handle takes one item of the mailbox.
func (g *Gateway) handle(item any) {
	switch item := item.(type) {
	case *call:
		if what := g.tooMuch(item); what != "" {
			g.cfg.Meter.Refused(what)
			item.who.end(Reply{Err: ErrBusy})
			return
		}
		g.last++
		g.tickets[g.last] = item.who
		if item.event == nil {
			item.ask.Ticket = g.last
			g.step(&item.ask)
			return
		}
		g.step(item.event(g.last))
	case query:
		item(g.core)
	case Event:
		g.step(item)
	}
}

// tooMuch bounds what waits for a disk that is slow or hangs: new requests first, then refreshes and GETs, withdrawals last.
// It names what is refused.
func (g *Gateway) tooMuch(c *call) string {
	waiting := max(len(g.core.flights), len(g.outbox.held))
	switch {
	case c.putNew && waiting >= g.cfg.InFlight:
		return "mitigate"
	case c.who.inspect != nil && waiting >= 2*g.cfg.InFlight:
		return "inspect"
	case c.who.mitigate != nil && waiting >= 2*g.cfg.InFlight:
		return "mitigate"
	case waiting < 4*g.cfg.InFlight:
		return ""
	case c.who.order != nil:
		return "order"
	}
	return "withdraw"
}

// step lets the core take an event, and does what it wants done.
func (g *Gateway) step(ev Event) {
	now := g.clock.Now()
	r := g.core.Step(now, ev)
	if changed, ok := ev.(Reload); ok {
		g.policy.Store(changed.Policy)
	}
	for i := range r.Notes {
		g.log(g.core.outside(now), &r.Notes[i])
	}
	for _, k := range r.Live {
		g.known.put(k)
	}
	for _, k := range r.Over {
		g.known.drop(k)
	}
	for _, a := range r.Activity {
		g.watchers.Mitigating(a.Client, a.On)
	}
	for _, q := range r.Questions {
		if !g.ask(q) {
			defer g.step(q.unanswered())
		}
	}
	if r.Seq != 0 {
		g.work.push(batch{r.Seq, r.Records, r.Reserve})
	}
	for _, seen := range g.outbox.hold(r, g.core.durable) {
		g.release(seen)
	}
}

// log writes a line; a group without a name is as its members. Where it is written in the code, which the logger would find out, says nothing here.
func (g *Gateway) log(now time.Time, n *Note) {
	ctx, h := context.Background(), g.cfg.Logger.Handler()
	if !h.Enabled(ctx, n.Level) {
		return
	}
	line := slog.NewRecord(now, n.Level, n.Text, 0)
	if n.later != nil {
		line.AddAttrs(slog.Any("", n))
	} else {
		line.AddAttrs(n.Attrs...)
	}
	_ = h.Handle(ctx, line) // a line that cannot be written is lost, as by the logger
}

// outcome notes what became of commits, and releases what waited for them.
func (g *Gateway) outcome(o outcome) {
	g.cfg.Meter.Committed(o.took, o.merged, o.err)
	if o.err != nil {
		if failed, telling := g.trouble.failure(time.Now()); telling {
			g.cfg.Logger.Error("commit failed", "error", o.err.Error(), "in_a_row", failed)
		}
		g.work.repair()
		g.step(CommitFailed{From: o.seq, Full: isFull(o.err), Unsaid: g.outbox.fail()})
		return
	}
	if !o.spare {
		if failed := g.trouble.success(); failed > 0 {
			g.cfg.Logger.Info("commits go well again", "failed", failed)
		}
	}
	g.step(Committed{o.seq})
	for _, r := range g.outbox.release(g.core.durable) {
		g.release(r)
	}
}

// release makes the visible part of a Ready visible.
func (g *Gateway) release(r Ready) {
	for i := 0; i < len(r.Wants); {
		j := i
		for j < len(r.Wants) && r.Wants[j].Key.Uplink == r.Wants[i].Key.Uplink {
			j++
		}
		g.uplinks.Want(r.Wants[i].Key.Uplink, r.Wants[i:j])
		i = j
	}
	for _, k := range r.Forgets {
		g.uplinks.Forget(k.Uplink, []dots.LegKey{k})
	}
	if r.Stated {
		g.uplinks.Stated()
	}
	for _, reply := range r.Replies {
		g.reply(reply)
	}
	for _, k := range r.Changed {
		g.watchers.Changed(k)
	}
}

// reply answers the caller behind a ticket.
func (g *Gateway) reply(r Reply) {
	w, ok := g.tickets[r.Ticket]
	if !ok {
		return
	}
	delete(g.tickets, r.Ticket)
	w.end(r)
}

// end calls the caller back.
func (w waiting) end(r Reply) {
	switch {
	case w.mitigate != nil:
		w.mitigate(r.Answer, r.Err)
	case w.withdraw != nil:
		w.withdraw(r.Err)
	case w.inspect != nil:
		w.inspect(r.Reports, r.Err)
	case w.order != nil:
		w.order(r.Err)
	}
}

// noMeter counts nothing.
type noMeter struct{}

func (noMeter) Committed(time.Duration, int, error) {}
func (noMeter) Mailbox(int)                         {}
func (noMeter) Refused(string)                      {}
