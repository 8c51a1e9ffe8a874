package downstream

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Meter counts what the Server does. Its methods are called from any goroutine and do not block.
type Meter interface {
	// SessionUp counts a session that began; reliable is true over TCP.
	SessionUp(reliable bool)
	// SessionDown counts a session that ended, once for every SessionUp.
	SessionDown(reliable bool, why Ending)
	// Request counts an answered request; dots.CodeSilent is one that got no answer. The method may be any code of class 0.
	Request(method wire.Method, code dots.Code)
	// HeartbeatMissed counts a heartbeat of ours that was not answered in time.
	HeartbeatMissed()
	// Observers counts what becomes of observations.
	Observers(change ObserverChange)
	// Notified counts a notification handed to a session.
	Notified(code dots.Code)
}

// ObserverChange is what becomes of an observation.
type ObserverChange int

// The changes of observations. One that was refused got a plain answer and never began, so that the gauge of those that are
// open is those that began without those that ended.
const (
	ObserverBegan ObserverChange = iota
	ObserverEnded
	ObserverRefused
)

// Ending is why a session ended.
type Ending int

// The endings of sessions.
const (
	Closed   Ending = iota // by its peer, by the transport, or because the server stops
	Lost                   // by missed heartbeats
	Disowned               // its client is not configured any more, or its credentials are not believed any more
)

// noMeter is the Meter of a Server that was given none.
type noMeter struct{}

func (noMeter) SessionUp(bool)                 {}
func (noMeter) SessionDown(bool, Ending)       {}
func (noMeter) Request(wire.Method, dots.Code) {}
func (noMeter) HeartbeatMissed()               {}
func (noMeter) Observers(ObserverChange)       {}
func (noMeter) Notified(dots.Code)             {}
