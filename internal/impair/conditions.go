package impair

import (
	"errors"
	"fmt"
	"time"
)

const (
	// DefaultQueue is how many bytes wait at a saturated link, unless Conditions say otherwise.
	DefaultQueue = 64 << 10
	// DefaultHold is how long a datagram that others are to overtake is held back at most, unless Conditions say otherwise.
	DefaultHold = 50 * time.Millisecond
)

// Conditions say what one direction of a path does to datagrams. The zero value delivers everything at once, in order. Shares are
// between 0 and 1; sizes are bytes of the datagram as it is given, without headers of UDP and IP.
type Conditions struct {
	// Loss is the share of datagrams that are lost, each by itself.
	Loss float64
	// Burst is loss that comes in periods, besides Loss.
	Burst Burst
	// Delay is how long a datagram is under way.
	Delay time.Duration
	// Jitter is how much longer it is under way at most, evenly spread. It reorders nothing: what would overtake, waits.
	Jitter time.Duration
	// Reorder is the share of datagrams that are held back, so that those behind them overtake.
	Reorder float64
	// Hold is how long these, and second copies, are held back at most, evenly spread. 0: DefaultHold.
	Hold time.Duration
	// Duplicate is the share of datagrams that arrive twice, the second time up to Hold later.
	Duplicate float64
	// Flip is the share of copies that arrive with one bit turned over.
	Flip float64
	// Dead loses everything: a black hole.
	Dead bool
	// Rate is how many bytes a second pass. 0: any number.
	Rate int
	// Queue is how many bytes wait for Rate; what finds no room in it is lost. 0: DefaultQueue.
	Queue int
	// MTU is the longest datagram that passes; longer ones are lost, as behind a router that drops what it may not cut. 0: any.
	// See Payload for the datagram that an IP packet carries.
	MTU int
}

// Burst is the model of Gilbert in time: good periods, in which nothing is lost by it, and bad ones, in which everything is. Both
// last exponentially distributed times.
type Burst struct {
	// Share is the share of time that is bad. 0: never; 1: always.
	Share float64
	// Mean is the mean length of a bad period. 0: a second.
	Mean time.Duration
}

// Validate says what is wrong with the conditions.
func (c Conditions) Validate() error {
	shares := map[string]float64{
		"loss": c.Loss, "burst": c.Burst.Share, "reorder": c.Reorder, "duplicate": c.Duplicate, "flip": c.Flip,
	}
	var bad []error
	for name, v := range shares {
		if !(v >= 0 && v <= 1) { // not a number, too
			bad = append(bad, fmt.Errorf("%s is %v, and not between 0 and 1", name, v))
		}
	}
	for name, v := range map[string]time.Duration{"delay": c.Delay, "jitter": c.Jitter, "hold": c.Hold, "burst length": c.Burst.Mean} {
		if v < 0 {
			bad = append(bad, fmt.Errorf("%s is %v, below 0", name, v))
		}
	}
	for name, v := range map[string]int{"rate": c.Rate, "queue": c.Queue, "MTU": c.MTU} {
		if v < 0 {
			bad = append(bad, fmt.Errorf("%s is %d, below 0", name, v))
		}
	}
	return errors.Join(bad...)
}

// hold is how long to hold back for a number between 0 and 1.
func (c Conditions) hold(u float64) time.Duration {
	most := c.Hold
	if most == 0 {
		most = DefaultHold
	}
	return time.Duration(u * float64(most))
}

// queue is how many bytes wait at most.
func (c Conditions) queue() int {
	if c.Queue == 0 {
		return DefaultQueue
	}
	return c.Queue
}
