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
	index    *policy.Index     // live and terminating mitigations by expanded target
	cuids    map[string]string // downstream cuid to the client entry that owns it
	cuidsOf  map[string]int    // number of them by client entry
	liveOf   map[string]int    // number of live mitigations by client entry

	legs     map[scope]map[uint32]*leg
	legCount int
	counters map[scope]*counter
	own      map[policy.Placement]string // the gateway's own cuids
	up       map[string]bool

	asks  map[dots.MitigationKey]*asking
	names map[string]*name

	due     deadlines
	flights []*flight
	seq     uint64 // newest batch
	durable uint64 // newest durable batch

	// of the step in progress
	now  time.Time
	out  *Ready
	undo []func(*Ready)
	grew bool // the step records something that is not a withdrawal

	redo redo
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
		index:    policy.NewIndex(),
		cuids:    map[string]string{},
		cuidsOf:  map[string]int{},
		liveOf:   map[string]int{},
		legs:     map[scope]map[uint32]*leg{},
		counters: map[scope]*counter{},
		own:      map[policy.Placement]string{},
		up:       map[string]bool{},
		asks:     map[dots.MitigationKey]*asking{},
		names:    map[string]*name{},
	}, nil
}

// Step takes an event at a time and says what is to be done. now must not go back; its wall clock is used for
// mitigation-start and for records only.
func (c *Core) Step(now time.Time, ev Event) Ready {
	var out Ready
	c.now, c.out, c.undo, c.grew = now, &out, nil, false
	c.dispatch(ev)
	c.close()
	c.out = nil
	return out
}

// Deadline returns when the core next wants a Tick; zero: never.
func (c *Core) Deadline() time.Time {
	c.due.compact(len(c.mits) + c.legCount + len(c.asks) + len(c.names))
	return c.due.next()
}

func (c *Core) dispatch(ev Event) {
	switch ev := ev.(type) {
	case Mitigate:
		c.mitigate(ev)
	case Withdraw:
		c.withdraw(ev)
	case Inspect:
		c.inspect(ev)
	case Answered:
		c.answered(ev.Answer)
	case Reported:
		c.reported(ev)
	case Resolved:
		c.resolved(ev)
	case Tick:
		c.tick()
	case Committed:
		c.committed(ev.Seq)
	case CommitFailed:
		c.commitFailed(ev)
	case ClientLost:
		c.clientLost(ev.Client)
	case ClientBack:
		// Recovery of a session stops nothing (RFC 9132, Section 4.4.4).
	case LinkUp:
		c.up[ev.Uplink] = true
	case LinkDown:
		c.up[ev.Uplink] = false
	case Restate:
		c.restate()
	default:
		panic(fmt.Sprintf("gateway: unknown event %T", ev))
	}
}

// tick lets everything act that is due.
func (c *Core) tick() {
	for {
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
		case *redo:
			c.redoDue()
		}
	}
}
