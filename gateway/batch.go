package gateway

import (
	"cmp"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// flight is a batch that is on its way to the disk.
type flight struct {
	seq     uint64
	reserve bool // it only withdraws
	records []store.Record
	undo    []func(*Ready) // newest last
}

// close numbers the step's batch and remembers how to undo it.
func (c *Core) close() {
	c.sayUnhushed()
	c.sayActivity()
	if len(c.out.Records) == 0 {
		return
	}
	c.seq++
	c.out.Seq = c.seq
	c.out.Reserve = !c.grew
	c.out.wait(c.seq)
	c.flights = append(c.flights, flight{seq: c.seq, reserve: !c.grew, records: c.out.Records, undo: c.undo})
}

// pending is the number that the batch of the step in progress has or would have.
func (c *Core) pending() uint64 { return c.seq + 1 }

// put records a value. undo takes back, if the batch fails, the change that it stands for; nil: the change stays and is
// recorded again.
func (c *Core) put(r store.Record, undo func(*Ready)) {
	c.grew = true
	c.owed.settle(r)
	c.out.Records = c.room.records.add(c.out.Records, r)
	if undo != nil {
		c.undo = c.room.undo.add(c.undo, undo)
	}
}

// putLess records a withdrawal or an end. It is never taken back, but recorded again if the batch fails.
func (c *Core) putLess(r store.Record) {
	c.owed.settle(r)
	c.out.Records = append(c.out.Records, r)
}

// committed notes what is durable.
func (c *Core) committed(seq uint64) {
	c.durable = max(c.durable, seq)
	n := 0
	for n < len(c.flights) && c.flights[n].seq <= seq {
		c.flights[n] = flight{}
		n++
	}
	c.flights = c.flights[n:]
}

// commitFailed takes back what batch From and the later ones changed, newest first. Their visible part was never released:
// who waits for an answer is told 5.03.
func (c *Core) commitFailed(ev CommitFailed) {
	keep := len(c.flights)
	for keep > 0 && c.flights[keep-1].seq >= ev.From {
		keep--
	}
	failed := c.flights[keep:]
	c.flights = c.flights[:keep:keep]
	c.durable = c.seq // nothing newer is on its way: nobody is to wait for what failed
	c.full = ev.Full
	c.failed++
	for i := len(failed) - 1; i >= 0; i-- {
		for j := len(failed[i].undo) - 1; j >= 0; j-- {
			failed[i].undo[j](c.out)
		}
	}
	if len(failed) > 0 {
		c.dropBorn(failed[0].seq)
	}
	innocent := map[uint64]bool{}
	for _, f := range failed {
		c.owes(f.records)
		innocent[f.seq] = f.reserve && !failed[0].reserve
	}
	if slices.ContainsFunc(failed, func(f flight) bool { return innocent[f.seq] }) {
		for _, f := range failed { // a withdrawal may rest on what a batch before it had settled
			c.rewrite(f)
		}
	}
	for _, r := range ev.Unsaid {
		c.resay(r, innocent[r.After])
	}
}

// dropBorn drops the legs that batch from and the later ones made: no uplink heard of them. What they were to replace is in force again, and
// their mitigations are arranged anew later, as are those that lost a leg or came back in between: never at once, or a disk that fails keeps us busy.
func (c *Core) dropBorn(from uint64) {
	all := c.sortedLegs()
	slices.SortStableFunc(all, func(a, b *leg) int { return cmp.Compare(b.born, a.born) })
	for _, l := range all {
		if l.born < from {
			break
		}
		if c.leg(l.want.Key) == l && !l.want.Withdraw {
			c.takeBack(l, false)
		}
	}
	c.leaveTo(&c.later, c.now.Add(retryStore))
}

// rewrite records what a failed batch left to be withdrawn: where withdrawals failed only because they came after another batch that did,
// the room that is kept back for them is there.
func (c *Core) rewrite(f flight) {
	for _, r := range f.records {
		if now, less := c.truth(identity{r.Kind, r.Key}); less {
			c.putLess(now)
			c.rewrote = c.pending()
		}
	}
}

// resay does what is left of a Ready that will not be said as it was. Legs are stated again as they are now: an uplink that is told a
// level twice is none the worse, one that is never told waits for ever. A withdrawal that is written again is answered as it was.
func (c *Core) resay(unsaid Ready, innocent bool) {
	for _, w := range unsaid.Wants {
		if l := c.leg(w.Key); l != nil && !l.hushed && l.state != left && l.state != foreign {
			c.out.want(l.want)
		}
	}
	c.out.Forgets = append(c.out.Forgets, unsaid.Forgets...)
	c.out.Changed = append(c.out.Changed, unsaid.Changed...)
	for _, r := range unsaid.Replies {
		if r.Err != nil || innocent && r.Answer.Code == dots.CodeDeleted {
			c.out.Replies = append(c.out.Replies, r)
		} else {
			c.out.refuse(r.Ticket, c.cannotStore())
		}
	}
}

// cannotStore is the refusal of what could not be made durable.
func (c *Core) cannotStore() *dots.Error {
	err := c.busy("cannot store now")
	if c.full {
		err.Text = "storage full"
	}
	return err
}
