package coap

import (
	"fmt"
	"math"
)

// signal takes a signalling message: RFC 8323, Section 5. The lock is held.
func (s *Session) signal(p packet, scan optionScan, rest []byte) {
	if scan.isBad {
		s.counters.BadOptions.Add(1)
		var bad []byte
		if p.code == codeCSM {
			bad = uintBytes(uint32(scan.bad))
		}
		// RFC 8323, Section 5.3 and 5.6: a critical option we do not know ends the connection.
		s.abort("unrecognised critical option", bad)
		return
	}
	m, err := s.read(p, rest, scan)
	if err != nil {
		s.abort("bad message", nil)
		return
	}
	switch p.code {
	case codeCSM:
		s.stream.greet(m.Options)
	case codePing:
		// RFC 8323, Section 5.4: Pong has the token of Ping.
		_, _ = s.send(packet{code: codePong, token: p.token}) // an error has ended the session
	case codePong:
		s.pong(p.token)
	case codeRelease:
		s.stream.released = true // unlock ends the session once nothing is under way
	case codeAbort:
		s.fail(fmt.Errorf("%w: %.64q", ErrAborted, m.Payload))
	}
}

// greet takes the peer's capabilities; later ones replace earlier ones. RFC 8323, Section 5.3.
func (st *stream) greet(options Options) {
	if !st.greeted {
		st.greeted = true
		defer close(st.ready)
		st.s.timers.stop(&st.greeting)
	}
	if v, ok := options.Uint(csmMaxMessageSize); ok {
		st.peerMax = int(min(v, math.MaxInt32))
	}
	if options.Has(csmBlockWise) {
		st.peerBlocks = true
	}
}

// idle reports whether a released session has nothing under way any more. RFC 8323, Section 5.5.
func (s *Session) idle() bool {
	if s.err != nil || s.stream == nil || !s.stream.released || len(s.exchanges) > 0 {
		return false
	}
	for _, c := range s.calls {
		if !c.stays { // an observation does not end by itself
			return false
		}
	}
	return true
}

// abort tells the peer that it broke the protocol and ends the session: RFC 8323, Section 5.6. badOption is the value of
// Bad-CSM-Option; nil: none. The lock is held.
func (s *Session) abort(reason string, badOption []byte) {
	if s.err != nil {
		return
	}
	s.counters.Aborts.Add(1)
	p := packet{code: codeAbort, payload: []byte(reason)}
	if badOption != nil {
		p.options.Add(abortBadCSMOption, badOption)
	}
	_, _ = s.send(p) // the session ends anyhow
	s.fail(fmt.Errorf("%w: %s", ErrProtocol, reason))
}
