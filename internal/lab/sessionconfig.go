package lab

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// sessionConfig is the configuration of one session: what it may be, and what is in force. Only the heartbeats' interval has
// an effect here; the rest is kept and told.
type sessionConfig struct {
	initial   time.Duration // the heartbeats' interval before anything is negotiated; not above zero: none
	sid       dots.Maybe[uint64]
	installed dots.SessionConfig
	heartbeat time.Duration
}

func newSessionConfig(cfg ServerConfig) sessionConfig {
	return sessionConfig{initial: cfg.Heartbeat, heartbeat: cfg.Heartbeat}
}

// configMaxAge is how long a configuration is fresh, in seconds.
const configMaxAge = 120

func bounds[T any](current, least, most T) dots.Bounds[T] {
	return dots.Bounds[T]{Current: dots.Some(current), Min: dots.Some(least), Max: dots.Some(most)}
}

// offer is what the server accepts. RFC 9132, Section 4.5.1: the recommended values and ranges.
func offer() dots.ConfigSet {
	return dots.ConfigSet{
		HeartbeatInterval: bounds[uint16](30, 0, 240),
		MissingHBAllowed:  bounds[uint16](15, 3, 20),
		ProbingRate:       bounds[uint16](5, 5, 20),
		MaxRetransmit:     bounds[uint16](3, 2, 15),
		AckTimeout:        bounds[dots.Decimal](200, 100, 3000),
		AckRandomFactor:   bounds[dots.Decimal](150, 110, 400),
	}
}

// get answers a GET. RFC 9132, Section 4.5.1: the ranges; with sid, what was negotiated under it.
func (c *sessionConfig) get(sid dots.Maybe[uint64]) wire.Response {
	resp := wire.Response{Code: dots.CodeContent, MaxAge: dots.Some[uint32](configMaxAge)}
	if !sid.Set {
		resp.Config = dots.SessionConfig{Mitigating: offer(), Idle: offer()}
		return resp
	}
	if c.sid != sid {
		return refuse(dots.CodeNotFound, "no such sid")
	}
	resp.Config = c.installed
	return resp
}

// put answers a PUT. RFC 9132, Section 4.5.2: 2.01, 2.04 for the sid in force, 4.22 for what is out of range.
func (c *sessionConfig) put(sid uint64, asked dots.SessionConfig) wire.Response {
	for _, set := range []dots.ConfigSet{asked.Mitigating, asked.Idle} {
		if !within(set, offer()) {
			return refuse(dots.CodeUnprocessable, "out of range")
		}
	}
	if c.sid.Set && sid < c.sid.Value {
		return refuse(dots.CodeBadRequest, "sid is below the installed one")
	}
	code := dots.CodeCreated
	if c.sid == dots.Some(sid) {
		code = dots.CodeChanged
	}
	c.sid, c.installed, c.heartbeat = dots.Some(sid), asked, c.initial
	for _, set := range []dots.ConfigSet{asked.Mitigating, asked.Idle} {
		if v := set.HeartbeatInterval.Current; v.Set {
			c.heartbeat = time.Duration(v.Value) * time.Second
		}
	}
	return wire.Response{Code: code}
}

// remove answers a DELETE. RFC 9132, Section 4.5.4: back to the defaults.
func (c *sessionConfig) remove(sid dots.Maybe[uint64]) wire.Response {
	if !sid.Set || sid == c.sid {
		c.sid, c.installed, c.heartbeat = dots.Maybe[uint64]{}, dots.SessionConfig{}, c.initial
	}
	return wire.Response{Code: dots.CodeDeleted}
}

// armed reports whether the session's mitigations wait for the session's loss; only the older dialect says so for a session.
func (c *sessionConfig) armed() bool { return !c.installed.TriggerMitigation.Or(true) }

// within reports whether every value of a set is in the range of what is offered.
func within(asked, offered dots.ConfigSet) bool {
	return inRange(asked.HeartbeatInterval, offered.HeartbeatInterval) && inRange(asked.MissingHBAllowed, offered.MissingHBAllowed) &&
		inRange(asked.ProbingRate, offered.ProbingRate) && inRange(asked.MaxRetransmit, offered.MaxRetransmit) &&
		inRange(asked.AckTimeout, offered.AckTimeout) && inRange(asked.AckRandomFactor, offered.AckRandomFactor)
}

func inRange[T uint16 | dots.Decimal](asked, offered dots.Bounds[T]) bool {
	v := asked.Current
	return !v.Set || v.Value >= offered.Min.Value && v.Value <= offered.Max.Value
}
