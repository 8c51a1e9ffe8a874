package upstream

import (
	"context"
	"errors"

	"github.com/dotsgate/dotsgate/dots"
)

// Mitigator is a mitigator of our own in the place of a DOTS server: what a gateway that is the last hop asks. The Manager makes it so
// that the wanted legs are in force, as with a server, and tells Events the same. Its methods are called by one goroutine at a time,
// after Open and before Close; they end when ctx does, which has a time limit.
type Mitigator interface {
	// Open makes it ready, and returns what it knows to be in force from an earlier run. It is called again after an error of
	// any other method that says that it is gone (ErrGone), and after several failures in a row; Close comes between. Then everything wanted is
	// started again. What Open returned and nobody wants, once the whole wanted set is known, is stopped: so what is in force without a key
	// that is ours comes under one that nobody has, such as one without a CUID.
	Open(ctx context.Context) ([]dots.LegKey, error)
	// Start puts a leg in force, or changes it. It is repeated for what may be in force already. Request.Lifetime is what is left in seconds, always
	// set; Stop comes when it is over, so nothing need end by itself. A *dots.Error is a refusal, by which nothing may have come into force and
	// what was stands on; any other error is tried again. Armed legs (Request.OnSignalLoss) never come here.
	Start(ctx context.Context, leg dots.Leg) error
	// Stop ends a leg. One that is not in force is no error. A *dots.Error is a refusal; any other error is tried again.
	Stop(ctx context.Context, key dots.LegKey) error
	// Status tells of legs in force: those that it does not name are unchanged. Until it tells another one the status is 1. Of a report Status
	// counts (0: unchanged), Counters, Conflict and Start; status 6 says that the leg is not in force any more.
	Status(ctx context.Context, keys []dots.LegKey) ([]LegReport, error)
	// Close lets it go. What is in force stays in force.
	Close() error
}

// LegReport is what a Mitigator tells of a leg.
type LegReport struct {
	Key    dots.LegKey
	Report dots.Report
}

// ErrGone says that a mitigator cannot be reached any more, and is to be opened again.
var ErrGone = errors.New("mitigator is gone")
