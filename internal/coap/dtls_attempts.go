package coap

import (
	"context"
	"sync"
	"time"
)

// shaken is how an attempt has ended.
type shaken struct {
	conn securedConn
	err  error
}

// firstOf makes an attempt, and others beside it at the given times from then on, until one succeeds; the rest is then given up and
// waited for. Once one was refused no other begins, since it would be, too; it fails when none is under way any more, with the
// first's error.
//
// RFC 6347, Section 4.2.4.1: a client waits 1 s before it repeats a flight, and twice as long each time, so a flight of several datagrams
// seldom gets through where many are lost. Attempts that do not wait for each other keep to that, each by itself.
func firstOf(ctx context.Context, beside []time.Duration, attempt func(context.Context) (securedConn, error)) (securedConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan shaken, len(beside)+1)
	var running sync.WaitGroup
	begin := func() {
		running.Go(func() {
			conn, err := attempt(ctx)
			results <- shaken{conn, err}
		})
	}
	defer func() {
		cancel()
		running.Wait()
		close(results)
		for late := range results { // finished just when another had
			if late.conn != nil {
				giveUp(late.conn)
			}
		}
	}()
	start := time.Now()
	begin()
	var failure error
	for underway := 1; underway > 0; {
		select {
		case r := <-results:
			underway--
			if r.err == nil {
				return r.conn, nil
			}
			if failure == nil {
				failure = r.err
			}
			beside = nil
		case <-first(beside, start):
			beside = beside[1:]
			underway++
			begin()
		}
	}
	return nil, failure
}

// first fires at the first of these times; never where there is none.
func first(after []time.Duration, start time.Time) <-chan time.Time {
	if len(after) == 0 {
		return nil
	}
	return time.After(time.Until(start.Add(after[0])))
}
