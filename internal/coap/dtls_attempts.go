package coap

import (
	"context"
	"slices"
	"sync"
	"time"
)

// shaken is how an attempt has ended.
type shaken struct {
	number int // of the attempt
	conn   securedConn
	err    error
}

// firstOf makes an attempt, and others beside it at the given times from then on, until one succeeds; the rest is then given up and
// waited for. Where MaxBeside are under way beside a first, the oldest makes room: it waits longest before it says anything again. Once one
// was refused no other begins, since it would be, too; it fails when none is under way any more, with the first's error.
//
// RFC 6347, Section 4.2.4.1: a client waits 1 s before it repeats a flight, and twice as long each time, so a flight of several datagrams
// seldom gets through where many are lost, and a path that is there again is found late. Attempts that do not wait for each other keep to
// that, each by itself.
func firstOf(ctx context.Context, beside []time.Duration, attempt func(context.Context) (securedConn, error)) (securedConn, error) {
	all := attempts{make: attempt, results: make(chan shaken, len(beside)+1)}
	defer all.end()
	start := time.Now()
	all.begin(ctx)
	var failure error
	for len(all.underway) > 0 {
		select {
		case r := <-all.results:
			if !all.over(r.number) {
				if r.conn != nil { // finished just when it had to make room
					giveUp(r.conn)
				}
				continue
			}
			if r.err == nil {
				return r.conn, nil
			}
			if failure == nil {
				failure = r.err
			}
			beside = nil
		case <-first(beside, start):
			beside = beside[1:]
			all.begin(ctx)
		}
	}
	return nil, failure
}

// attempts are those of one Dial.
type attempts struct {
	make     func(context.Context) (securedConn, error)
	results  chan shaken // with room for all
	running  sync.WaitGroup
	underway []underway // the oldest first
	last     int
}

// underway is an attempt that has not ended and was not given up.
type underway struct {
	number int
	giveUp context.CancelFunc
}

// begin begins one more, in the place of the oldest where there are enough.
func (a *attempts) begin(ctx context.Context) {
	if len(a.underway) > MaxBeside {
		a.underway[0].giveUp()
		a.underway = a.underway[1:]
	}
	a.last++
	number := a.last
	ctx, cancel := context.WithCancel(ctx)
	a.underway = append(a.underway, underway{number, cancel})
	a.running.Go(func() {
		defer cancel()
		conn, err := a.make(ctx)
		a.results <- shaken{number, conn, err}
	})
}

// over takes out an attempt that has ended; false: it was given up before.
func (a *attempts) over(number int) bool {
	n := len(a.underway)
	a.underway = slices.DeleteFunc(a.underway, func(u underway) bool { return u.number == number })
	return len(a.underway) < n
}

// end gives up what is under way, and waits for it.
func (a *attempts) end() {
	for _, u := range a.underway {
		u.giveUp()
	}
	a.running.Wait()
	close(a.results)
	for late := range a.results { // finished just when another had
		if late.conn != nil {
			giveUp(late.conn)
		}
	}
}

// first fires at the first of these times; never where there is none.
func first(after []time.Duration, start time.Time) <-chan time.Time {
	if len(after) == 0 {
		return nil
	}
	return time.After(time.Until(start.Add(after[0])))
}
