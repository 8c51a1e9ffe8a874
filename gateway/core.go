package gateway

import (
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Core holds mitigations and legs. It is not safe for concurrent use; Gateway owns one.
type Core struct {
	cfg    CoreConfig
	policy *policy.Policy

	mits     map[dots.MitigationKey]*mitigation
	byClient map[dots.Client]map[uint32]*mitigation
	index    *policy.Index[dots.MitigationKey] // mitigations by expanded target
	cuids    map[cuidName]*binding             // downstream cuids
	cuidsOf  map[string][]cuidName             // by client entry
	liveIn   map[string]int                    // number of live mitigations by domain
	liveOf   map[string]int                    // number of live mitigations by client entry

	legs       map[scope]*holding
	legCount   int
	lastLeg    *leg                        // the one that was looked for last, while it is in the tables: it is looked for several times in a step
	replacedBy map[dots.LegKey]dots.LegKey // legs that go once another one stands
	blocks     map[dots.LegKey]dots.LegKey // legs that must be gone before another one is asked for
	counters   map[scope]*counter
	own        map[policy.Placement]string // the gateway's own cuids
	movedAt    map[string]time.Time        // when an uplink last made us take another cuid
	up         map[string]bool
	drained    map[string]bool // uplinks that drain, by the operator's command

	asks  map[dots.MitigationKey]*asking
	names map[string]*name
	// by client entry, so that none takes all of it: its requests that wait for names, and names that it brought and nothing rests on
	asksOf, spareOf map[string]int

	absent map[string]*absence      // by client entry, those that have no session and count down
	spans  map[string]time.Duration // by client entry, how long it may be silent, where that is not Span

	activeOf map[string]int  // number of active mitigations by client entry
	saidOn   map[string]bool // client entries that were said to have some
	swung    map[string]bool // and those of which that may have changed in the step

	consults uint64              // number of the newest question to the AAA server
	paces    map[string]*pace    // by client entry
	circles  map[string][]circle // by client entry, what lately came round in a circle
	counts   Counts

	clock   clockRecord   // as it is kept
	skew    time.Duration // what the wall clock is ahead
	clocked bool          // that is known

	aside map[identity]bool // records of the store that could not be used
	stray []string          // keys of restored expiries without a mitigation

	due     deadlines
	flights []flight
	seq     uint64 // newest batch
	durable uint64 // up to here every batch is durable, or was taken back

	ground  *policy.Index[dots.LegKey] // current legs by plot and what they cover
	dirty   map[*mitigation]bool       // mitigations whose legs are to follow; false: only to be told
	loose   map[*leg]bool              // legs whose place in their plot is to be found
	revived []*leg                     // legs that are in force again
	later   later                      // of them what waits for a disk that failed
	soon    later                      // and what waits for the next Tick
	turns   turns                      // and what has its turn when all are to follow
	links   map[string]*link           // uplinks as Places sees them

	// of the step in progress
	now      time.Time
	out      *Ready // nil between steps, else &ready
	ready    Ready
	undo     []func(*Ready)
	room     room
	few      [1]*mitigation // what takeTouched returns where it is one
	unhushed []*leg         // legs that are asked for again
	grew     bool           // the step records something that is not a withdrawal
	// frugal: the step is to record withdrawals alone, which find room on a full disk.
	frugal bool

	owed    owed
	rewrote uint64 // the newest batch that wrote what was owed
	failed  uint64 // commits
	full    bool   // the newest failed commit failed for want of space
}

// NewCore makes an empty core; Restore fills it from the store.
func NewCore(cfg CoreConfig) (*Core, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Core{
		cfg:      cfg,
		policy:   cfg.Policy,
		mits:     map[dots.MitigationKey]*mitigation{},
		byClient: map[dots.Client]map[uint32]*mitigation{},
		index:    policy.NewIndex(compareKeys),
		cuids:    map[cuidName]*binding{},
		cuidsOf:  map[string][]cuidName{},
		liveIn:   map[string]int{},
		liveOf:   map[string]int{},
		asks:     map[dots.MitigationKey]*asking{},
		names:    map[string]*name{},
		asksOf:   map[string]int{},
		spareOf:  map[string]int{},

		paces:   map[string]*pace{},
		circles: map[string][]circle{},

		absent:   map[string]*absence{},
		spans:    map[string]time.Duration{},
		activeOf: map[string]int{},
		saidOn:   map[string]bool{},
		swung:    map[string]bool{},

		aside: map[identity]bool{},

		legs:       map[scope]*holding{},
		replacedBy: map[dots.LegKey]dots.LegKey{},
		blocks:     map[dots.LegKey]dots.LegKey{},
		counters:   map[scope]*counter{},
		own:        map[policy.Placement]string{},
		movedAt:    map[string]time.Time{},
		up:         map[string]bool{},
		drained:    map[string]bool{},

		ground: policy.NewIndex(compareLegs),
		dirty:  map[*mitigation]bool{},
		loose:  map[*leg]bool{},
		links:  map[string]*link{},
	}, nil
}

// Step takes an event at a time and says what is to be done. now must not go back; its wall clock is used for
// mitigation-start and for records only.
func (c *Core) Step(now time.Time, ev Event) Ready {
	c.now, c.out, c.undo, c.grew, c.frugal = now, &c.ready, nil, false, false
	c.ready.room = &c.room
	c.dispatch(ev)
	c.settle(maxRounds)
	c.close()
	out := c.ready
	out.room = nil
	c.out, c.ready = nil, Ready{}
	return out
}

// Deadline returns when the core next wants a Tick; zero: never.
func (c *Core) Deadline() time.Time { return c.due.next() }

// dispatch hands an event to what deals with it: those of clients here, all others in dispatchInner.
func (c *Core) dispatch(ev Event) {
	switch ev := ev.(type) {
	case *Mitigate:
		c.mitigate(ev)
	case Mitigate:
		c.mitigate(&ev)
	case Withdraw:
		c.withdraw(ev)
	case Inspect:
		c.inspect(ev)
	case ClientGone:
		c.clientGone(ev.Client, ev.In)
	case ClientBack:
		c.clientBack(ev.Client, ev.Span)
	default:
		c.dispatchInner(ev)
	}
}

func (c *Core) dispatchInner(ev Event) {
	switch ev := ev.(type) {
	case Answered:
		c.answered(ev.Answer)
	case Reported:
		c.reported(ev)
	case LinkUp:
		c.linkUp(ev.Uplink)
	case LinkDown:
		c.linkDown(ev.Uplink)
	case Resolved:
		c.resolved(ev)
	case Consulted:
		c.consulted(ev)
	case Tick:
		c.tick()
	case Committed:
		c.committed(ev.Seq)
	case CommitFailed:
		c.commitFailed(ev)
	case Restate:
		c.restate()
	case Clock:
		c.setClock(ev)
	default:
		c.dispatchOrder(ev)
	}
}

// dispatchOrder hands on an operator's command.
func (c *Core) dispatchOrder(ev Event) {
	switch ev := ev.(type) {
	case Reload:
		c.reload(ev)
	case Drain:
		c.drainUplink(ev)
	case Recurse:
		c.recurse(ev)
	default:
		panic(fmt.Sprintf("gateway: unknown event %T", ev))
	}
}

// maxTick bounds what one Tick does, so that its batch fits the store and the loop stays responsive. What is left over is due
// still, so that the next Tick follows at once.
const maxTick = 1024

// tick lets everything act that is due.
func (c *Core) tick() {
	for range maxTick {
		o, ok := c.due.pop(c.now)
		if !ok {
			return
		}
		switch o := o.(type) {
		case *mitigation:
			c.mitigationDue(o)
		case *leg:
			c.legDue(o)
		case *asking:
			c.askingDue(o)
		case *name:
			c.nameDue(o)
		case *binding:
			c.bindingDue(o)
		case *owed:
			c.owedDue()
		default:
			c.tickInner(o)
		}
	}
}

// tickInner lets what is the core's own act.
func (c *Core) tickInner(o owner) {
	switch o := o.(type) {
	case *link:
		c.weigh(o)
	case *later:
		c.laterDue(o)
	case *turns:
		c.touchSome()
	case *absence:
		c.absenceDue(o)
	}
}
