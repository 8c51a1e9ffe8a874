package coap

import "sync/atomic"

// Counters count what happened on all sessions that share them. Safe for concurrent use; the zero value is ready.
type Counters struct {
	RecordsIn         atomic.Uint64 // datagrams, or messages over TCP, received
	RecordsOut        atomic.Uint64 // datagrams, or messages over TCP, sent
	Malformed         atomic.Uint64 // messages dropped for their form
	Duplicates        atomic.Uint64 // messages recognised as sent before
	Forgotten         atomic.Uint64 // messages forgotten before their time: a duplicate would be acted on again
	Retransmissions   atomic.Uint64 // messages of ours sent again
	Timeouts          atomic.Uint64 // CON messages of ours never acknowledged
	BadOptions        atomic.Uint64 // messages with a critical option we do not know
	ResetsIn          atomic.Uint64 // RST received
	ResetsOut         atomic.Uint64 // RST sent
	Unexpected        atomic.Uint64 // responses that belong to no request
	Refused           atomic.Uint64 // requests refused because a table of the session was full
	WriteErrors       atomic.Uint64 // messages the link did not take
	Aborts            atomic.Uint64 // TCP sessions ended by us for a protocol error
	Panics            atomic.Uint64 // panics caught at the input boundary; must stay 0
	Handshakes        atomic.Uint64 // handshakes finished
	HandshakeFailures atomic.Uint64 // handshakes failed or timed out
	SessionsRefused   atomic.Uint64 // sessions refused because an endpoint was full
	SourcesRefused    atomic.Uint64 // connections refused because one source came too often or held too many
}

// CounterValues are Counters at one moment, as plain numbers.
type CounterValues struct {
	RecordsIn, RecordsOut, Malformed, Duplicates, Retransmissions, Timeouts, BadOptions uint64
	ResetsIn, ResetsOut, Unexpected, Refused, WriteErrors, Aborts, Panics               uint64
	Handshakes, HandshakeFailures, SessionsRefused, SourcesRefused, Forgotten           uint64
}

// Values reads the counters. Each is read atomically, all together are not.
func (c *Counters) Values() CounterValues {
	return CounterValues{
		RecordsIn: c.RecordsIn.Load(), RecordsOut: c.RecordsOut.Load(), Malformed: c.Malformed.Load(),
		Duplicates: c.Duplicates.Load(), Retransmissions: c.Retransmissions.Load(), Timeouts: c.Timeouts.Load(),
		BadOptions: c.BadOptions.Load(), ResetsIn: c.ResetsIn.Load(), ResetsOut: c.ResetsOut.Load(),
		Unexpected: c.Unexpected.Load(), Refused: c.Refused.Load(), WriteErrors: c.WriteErrors.Load(),
		Aborts: c.Aborts.Load(), Panics: c.Panics.Load(), Handshakes: c.Handshakes.Load(),
		HandshakeFailures: c.HandshakeFailures.Load(), SessionsRefused: c.SessionsRefused.Load(),
		SourcesRefused: c.SourcesRefused.Load(), Forgotten: c.Forgotten.Load(),
	}
}
