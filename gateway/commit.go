package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/store"
)

// Bounds of one commit: what waits is merged up to them (group commit).
const (
	maxMerged  = 256  // batches
	maxRecords = 4096 // records
)

// batch is a Ready's records on their way to the store.
type batch struct {
	seq     uint64
	records []store.Record
	reserve bool
}

// outcome is what became of the batches up to seq, or from seq on.
type outcome struct {
	seq    uint64
	err    error // nil: durable up to seq; else: nothing from seq on will ever be
	merged int
	took   time.Duration
	spare  bool // it was written into the room that is kept for withdrawals, which says nothing of what others have
}

// committer writes batches in their order, several at once. After a failure it drops everything that it is given until it is
// repaired: later batches rest on what failed.
type committer struct {
	store  store.Store
	result chan outcome

	mu     sync.Mutex
	queue  []batch
	broken bool
	wake   chan struct{}
}

func newCommitter(s store.Store) *committer {
	return &committer{store: s, result: make(chan outcome, 1), wake: make(chan struct{}, 1)}
}

// push queues a batch. Never blocks; the loop bounds how many are on their way.
func (w *committer) push(b batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return
	}
	w.queue = append(w.queue, b)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// repair ends the time after a failure.
func (w *committer) repair() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}

// run commits until ctx ends and the queue is empty.
func (w *committer) run(ctx context.Context) {
	for {
		bs := w.next()
		if len(bs) == 0 {
			select {
			case <-w.wake:
				continue
			case <-ctx.Done():
				if bs = w.next(); len(bs) == 0 {
					return
				}
			}
		}
		w.result <- w.commit(bs)
	}
}

// next takes the batches of one commit: neighbours of one kind, because what only withdraws may use space that others may not.
func (w *committer) next() []batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, records := 0, 0
	for n < len(w.queue) && n < maxMerged && w.queue[n].reserve == w.queue[0].reserve {
		if n > 0 && records+len(w.queue[n].records) > maxRecords {
			break
		}
		records += len(w.queue[n].records)
		n++
	}
	taken := w.queue[:n:n]
	w.queue = w.queue[n:]
	return taken
}

// commit writes batches as one. It does not take the loop's context: a stop must not lose what was accepted.
func (w *committer) commit(bs []batch) outcome {
	all := store.Batch{Records: bs[0].records, Reserve: bs[0].reserve}
	if len(bs) > 1 {
		all.Records = nil
		for _, b := range bs {
			all.Records = append(all.Records, b.records...)
		}
	}
	begin := time.Now()
	err := w.write(all)
	out := outcome{seq: bs[len(bs)-1].seq, merged: len(bs), took: time.Since(begin), spare: all.Reserve}
	if err != nil {
		out.seq, out.err = bs[0].seq, err
		w.mu.Lock()
		w.broken, w.queue = true, nil
		w.mu.Unlock()
	}
	return out
}

// write commits a batch; one that is larger than a store takes goes in pieces. Only a start after a change of policy, or a new cuid for a
// very large table, makes such; what a crash leaves half done is completed at the next start.
func (w *committer) write(b store.Batch) error {
	for piece := range slices.Chunk(b.Records, store.MaxBatch) {
		if err := w.store.Commit(context.Background(), store.Batch{Records: piece, Reserve: b.Reserve}); err != nil {
			return err
		}
	}
	return nil
}

// isFull reports whether a commit failed for want of space.
func isFull(err error) bool { return errors.Is(err, store.ErrFull) }
