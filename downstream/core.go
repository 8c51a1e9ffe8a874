package downstream

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Core is what decides about mitigations. Its methods are called from any goroutine and without any lock of the
// Server's; they return soon. Errors given to a done are *dots.Error; any other is answered 5.00 without detail.
type Core interface {
	// Identify maps a proven credential to a configured client entry. It does not block.
	Identify(cred dots.Credential) (client string, ok bool)
	// Mitigate hands in a mitigation request. done is called exactly once, possibly before Mitigate returns, from
	// another goroutine otherwise; the session that asked may be gone by then. done does not block.
	Mitigate(ask dots.Ask, done func(dots.Answer, error))
	// Withdraw ends a mitigation; an unknown one is no error (RFC 9132, Section 4.4.4).
	Withdraw(key dots.MitigationKey, done func(error))
	// Reports tells the state of one mitigation, or of all where mid is absent; a *dots.Error 4.04 when there is none.
	Reports(c dots.Client, mid dots.Maybe[uint32], done func([]dots.Report, error))
	// ClientGone says that the client entry has no session any more, and that it is lost unless it has one again within the time; 0: the last of them
	// ended by missed heartbeats (RFC 9132, Section 4.7).
	ClientGone(client string, in time.Duration)
	// ClientBack says that the client entry has a session, its first or one more, or one with other parameters, and how long that one may be
	// silent before it is lost.
	ClientBack(client string, span time.Duration)
}
