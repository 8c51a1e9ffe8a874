package coap

import (
	"time"

	"github.com/dotsgate/dotsgate/internal/throttle"
)

// DoorStatus is how the bounds on new handshakes stand, over either transport.
type DoorStatus struct {
	Handshakes int            // under way; over TCP also connections without a first record
	Starts     throttle.Stats // sources that have begun some not long ago
	Holders    throttle.Stats // sources that have some under way
}

// DoorStatus returns how the bounds stand. It walks their tables: it is for whoever looks from time to time.
func (s *Server) DoorStatus() DoorStatus {
	switch a := s.acceptor.(type) {
	case udpAcceptor:
		st := a.front.Stats()
		return DoorStatus{Handshakes: st.Pending, Starts: st.Starts, Holders: st.Holders}
	case *tcpAcceptor:
		return DoorStatus{Handshakes: a.waiting.len() + s.handshakes.len(), Starts: a.rate.Stats(time.Now()), Holders: a.held.Stats()}
	}
	return DoorStatus{}
}
