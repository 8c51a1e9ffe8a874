package udp

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// Queue is one socket with its reader, its outbox and its writer.
type Queue struct {
	number int
	conn   *net.UDPConn
	in     *inbound
	out    *outbound
	box    outbox
	wake   chan struct{} // the writer is flusher

	received, sent, dropped, failed, cut atomic.Uint64
}

func newQueue(number int, c *net.UDPConn, cfg Config) *Queue {
	addr := c.LocalAddr().(*net.UDPAddr)
	v6 := isIPv6(addr)
	local := addr.IP.IsUnspecified() && tellLocal(c, v6)
	return &Queue{
		number: number, conn: c, in: newInbound(c, local), out: newOutbound(c, v6, cfg.Singly),
		box: outbox{most: cfg.Outbox}, wake: make(chan struct{}, 1),
	}
}

// Number is the queue's place among its sockets, from 0.
func (q *Queue) Number() int { return q.number }

// Send puts a datagram into the queue's outbox: b is copied. It never blocks; where the outbox is full the datagram is lost,
// as on the wire, and counted. It is safe for concurrent use, by the handler and by others.
func (q *Queue) Send(b []byte, to Path) {
	taken, appointed := q.box.put(b, to)
	switch {
	case !taken:
		q.dropped.Add(1)
	case appointed:
		q.rouse()
	}
}

// rouse makes the writer the flusher. The caller has been appointed and passes it on, so there is room: one flusher, one
// mark.
func (q *Queue) rouse() { q.wake <- struct{}{} }

// The pauses after a read that failed, each twice the one before: the system is out of something.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// read hands on what comes until stop is closed.
func (q *Queue) read(handle Handler, stop <-chan struct{}) {
	pause := firstPause
	for {
		n, err := q.in.read()
		select {
		case <-stop:
			if n <= 0 || err != nil {
				return
			}
		default:
		}
		switch {
		case err == nil:
			pause = firstPause
			q.work(handle, n)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded): // stop, or what is left of an earlier one
		default:
			wait(stop, pause)
			pause = min(2*pause, lastPause)
		}
	}
}

// wait returns after a pause, or when stop is closed.
func wait(stop <-chan struct{}, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}

// work hands on the datagrams of a batch, and sends what was sent meanwhile on this queue in one go.
func (q *Queue) work(handle Handler, n int) {
	flusher := q.box.claim()
	received := 0
	for i := range n {
		b, from, ok := q.in.datagram(i)
		if !ok {
			q.cut.Add(1)
			continue
		}
		received++
		handle(q, b, from)
	}
	q.received.Add(uint64(received))
	if !flusher {
		return
	}
	if b, ok := q.box.take(); ok && q.flush(b) {
		q.rouse() // for what came while this was written: the reader has datagrams to read
	}
}

// flush sends a bundle and returns its memory. more: the caller is still flusher.
func (q *Queue) flush(b bundle) (more bool) {
	sent, failed := q.out.write(&b)
	q.sent.Add(uint64(sent))
	q.failed.Add(uint64(failed))
	return q.box.give(b)
}

// write sends what wakes it until stop is closed.
func (q *Queue) write(stop <-chan struct{}) {
	for {
		select {
		case <-q.wake:
			q.drain()
		case <-stop:
			select {
			case <-q.wake:
				q.drain()
			default:
			}
			return
		}
	}
}

// drain sends until nothing waits. The caller is flusher.
func (q *Queue) drain() {
	for {
		b, ok := q.box.take()
		if !ok || !q.flush(b) {
			return
		}
	}
}

// finish sends what waits, when neither reader nor writer runs and nothing more is taken.
func (q *Queue) finish() {
	select {
	case <-q.wake:
		q.drain()
	default:
	}
}
