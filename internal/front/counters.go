package front

import (
	"sync/atomic"

	"github.com/dotsgate/dotsgate/internal/record"
)

// Counters count what a front has seen. Safe for concurrent use; the zero value is ready.
type Counters struct {
	Hellos      atomic.Uint64 // well-formed ClientHellos
	Verified    atomic.Uint64 // HelloVerifyRequests sent
	Proven      atomic.Uint64 // ClientHellos that proved their address and opened a handshake
	Strangers   atomic.Uint64 // datagrams dropped that belong to nobody
	Refused     atomic.Uint64 // proven ClientHellos dropped for a limit of their prefix, or because nobody accepts
	Shed        atomic.Uint64 // ClientHellos dropped under pressure
	Replaced    atomic.Uint64 // handshakes that ended because a newer one took their place
	Overfed     atomic.Uint64 // datagrams dropped because a handshake had got all that it may get
	HandOver    atomic.Uint64 // handshakes ended because the library did not do as expected; must stay 0
	Moves       atomic.Uint64 // sessions that turned up at another address
	Unconfirmed atomic.Uint64 // datagrams not sent because an address was not confirmed
	Malformed   atomic.Uint64 // protected records that the library could not take
	TakenOver   atomic.Uint64 // sessions whose records are protected here and no longer by the library
	Resumed     atomic.Uint64 // sessions of another process that go on here
	Dropped     record.Drops  // records of such sessions
}
