package coap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
)

// ErrHandedOver is what a session ends with that goes on in another process.
var ErrHandedOver = errors.New("session handed over to another process")

// Exported is all that another process needs to go on with a session over UDP. It holds the session's secrets: it must never be
// kept. What the peer has asked and is not answered, and what we have asked, does not go along.
type Exported struct {
	// Conn is the session below CoAP.
	Conn front.Exported
	// Peer is who the peer has proven to be.
	Peer Identity
	// MID, Token and Sequence are the last that we used: of a message, of a request, of a notification.
	MID             uint16
	Token, Sequence uint32
	// Heard is when the last authenticated record came in.
	Heard time.Time
	// Parameters are those in force.
	Parameters Parameters
	// Observed are the requests of the peer's observations, as datagrams of CoAP.
	Observed [][]byte
}

// Files are duplicates of the server's sockets, for ServerConfig.Files in another process; they are the caller's to close. What
// comes while nobody reads waits in the system.
func (s *Server) Files() ([]*os.File, error) {
	files, err := s.portable.files()
	if err != nil {
		return nil, fmt.Errorf("duplicating the listener's sockets: %w", err)
	}
	return files, nil
}

// Suspend prepares the end for the sake of another process, while Run is under way and goes on: nobody new is let in,
// handshakes may finish until ctx ends, sessions that cannot be exported are told good-bye, and nothing is read any more. What
// is still to be said to the others can be.
func (s *Server) Suspend(ctx context.Context) {
	s.acceptor.stopAccepting()
	<-s.accepted
	s.handshakes.settle(ctx)
	s.keeper.refuse()
	for _, session := range s.keeper.all() {
		if _, ok := session.link.(*frontLink); !ok {
			_ = session.Close() // it is over either way
		}
	}
	s.portable.suspend()
}

// Settle waits until every request that came before Suspend is answered, or ctx ends.
func (s *Server) Settle(ctx context.Context) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for _, session := range s.keeper.all() {
		for session.owes() {
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// owes reports whether a request of the peer is not answered.
func (s *Session) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && len(s.exchanges) > 0
}

// Export ends the sessions, after Suspend, and hands to take what another process needs to go on with each: from then on
// nothing is said here. Those that cannot go on are told good-bye, and counted.
func (s *Server) Export(take func(*Session, Exported)) (over int) {
	for _, session := range s.keeper.all() {
		link, ok := session.link.(*frontLink)
		if !ok {
			continue
		}
		e, lives := session.export()
		if !lives {
			continue
		}
		var err error
		if e.Conn, err = link.Export(); err != nil {
			_ = link.Close() // it is over either way
			over++
			continue
		}
		e.Peer = link.peer
		take(session, e)
	}
	return over
}

// export ends the session without a word to the peer.
func (s *Session) export() (e Exported, lives bool) {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return Exported{}, false
	}
	e = Exported{MID: s.mid, Token: s.token, Sequence: s.sequence, Heard: s.heard, Parameters: s.params}
	for _, o := range s.observers {
		e.Observed = append(e.Observed, o.request)
	}
	s.end(ErrHandedOver)
	return e, true
}

// restore makes a new session what an exported one was, but for its observations.
func (s *Session) restore(e Exported) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mid, s.token, s.sequence, s.heard = e.MID, e.Token, e.Sequence, e.Heard
	s.setParameters(e.Parameters)
}

// Resume goes on with a session that another process has exported; welcome takes the place of ServerConfig.OnSession. Called
// before Run, since what comes before is lost. Its observations begin anew with Replay.
func (s *Server) Resume(e Exported, welcome func(*Session) error) error {
	conn, err := s.portable.resume(e)
	if err != nil {
		return fmt.Errorf("resuming a session: %w", err)
	}
	session, err := s.keeper.adopt(conn, s.cfg.Session, func(session *Session) error {
		session.restore(e)
		return welcome(session)
	})
	if err != nil {
		return err
	}
	for _, request := range e.Observed {
		s.observed = append(s.observed, observed{session, request})
	}
	return nil
}

// observed is an observation that is to begin anew.
type observed struct {
	session *Session
	request []byte
}

// replayedAtOnce is how many observations begin anew at a time: few enough to find room wherever they are answered.
const replayedAtOnce = 128

// Replay begins anew the observations of resumed sessions, as if each peer asked again under its old token: it gets one
// notification more than it would. Called once, when requests can be answered. It returns when all are answered, or ctx ends.
func (s *Server) Replay(ctx context.Context) {
	left := s.observed
	s.observed = nil
	for len(left) > 0 && ctx.Err() == nil {
		some := left[:min(replayedAtOnce, len(left))]
		left = left[len(some):]
		var asked []*Exchange
		for _, o := range some {
			if ex := o.session.replay(o.request); ex != nil {
				asked = append(asked, ex)
			}
		}
		awaitAll(ctx, asked)
	}
}

// awaitAll waits until the exchanges are over.
func awaitAll(ctx context.Context, asked []*Exchange) {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for _, ex := range asked {
		for !ex.over.Load() {
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// replay takes an observed request as if it had come again, and returns its exchange where there is one. The peer's message
// ids know nothing of it.
func (s *Session) replay(request []byte) *Exchange {
	defer s.guard()
	ex := s.again(request)
	if ex != nil {
		ex.serve()
	}
	return ex
}

func (s *Session) again(request []byte) *Exchange {
	s.mu.Lock()
	defer s.unlock()
	if s.err != nil {
		return nil
	}
	p, rest, err := readHeader(request)
	if err != nil {
		return nil
	}
	scan, err := scanOptions(p.code, rest)
	if err != nil || scan.isBad {
		return nil
	}
	ex := newExchange(s, p)
	ex.replayed = true
	if ex.decode(rest, scan) != nil {
		return nil
	}
	return s.accept(ex)
}
