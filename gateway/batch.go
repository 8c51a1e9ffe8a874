package gateway

import (
	"time"

	"github.com/dotsgate/dotsgate/store"
)

// flight is a batch that is on its way to the disk.
type flight struct {
	seq  uint64
	undo []func(*Ready) // newest last
}

// redo holds records of withdrawals that could not be stored: they are tried again until they are, because a record that
// stays would bring back after a restart what its client withdrew.
type redo struct {
	records []store.Record
	at      time.Time
}

func (r *redo) dueAt() time.Time { return r.at }

// close numbers the step's batch and remembers how to undo it.
func (c *Core) close() {
	if len(c.out.Records) == 0 {
		return
	}
	c.seq++
	c.out.Seq = c.seq
	c.out.Reserve = !c.grew
	c.out.wait(c.seq)
	c.flights = append(c.flights, &flight{seq: c.seq, undo: c.undo})
}

// pending is the number that the batch of the step in progress has or would have.
func (c *Core) pending() uint64 { return c.seq + 1 }

// put records a value. undo takes back, if the batch fails, the change that it stands for; nil: another undo of the batch does.
func (c *Core) put(r store.Record, undo func(*Ready)) {
	c.grew = true
	c.redo.drop(r)
	c.out.Records = append(c.out.Records, r)
	if undo != nil {
		c.undo = append(c.undo, undo)
	}
}

// putLess records a withdrawal or an end. It is not undone if the batch fails, but recorded again; failed is called then
// and may be nil.
func (c *Core) putLess(r store.Record, failed func(*Ready)) {
	c.redo.drop(r)
	c.out.Records = append(c.out.Records, r)
	c.undo = append(c.undo, func(out *Ready) {
		c.redo.drop(r)
		c.redo.records = append(c.redo.records, r)
		if c.redo.at.IsZero() {
			c.redo.at = c.now.Add(retryHeld)
			c.due.arm(&c.redo)
		}
		if failed != nil {
			failed(out)
		}
	})
}

// drop forgets what was to be recorded again under the identity of r, because r says what holds now.
func (r *redo) drop(newer store.Record) {
	for i, old := range r.records {
		if old.Kind == newer.Kind && old.Key == newer.Key {
			r.records = append(r.records[:i:i], r.records[i+1:]...)
			return
		}
	}
}

// redoDue records again what could not be stored.
func (c *Core) redoDue() {
	records := c.redo.records
	c.redo = redo{}
	for _, r := range records {
		c.putLess(r, nil)
	}
}

// committed notes what is durable.
func (c *Core) committed(seq uint64) {
	c.durable = max(c.durable, seq)
	n := 0
	for n < len(c.flights) && c.flights[n].seq <= seq {
		n++
	}
	c.flights = c.flights[n:]
}

// commitFailed takes back what batch From and the later ones changed, newest first. Their visible part was never released;
// who waits for an answer of theirs is told 5.03 by the loop, who waits for an uplink is told here.
func (c *Core) commitFailed(ev CommitFailed) {
	keep := len(c.flights)
	for keep > 0 && c.flights[keep-1].seq >= ev.From {
		keep--
	}
	failed := c.flights[keep:]
	c.flights = c.flights[:keep:keep]
	for i := len(failed) - 1; i >= 0; i-- {
		for j := len(failed[i].undo) - 1; j >= 0; j-- {
			failed[i].undo[j](c.out)
		}
	}
}
