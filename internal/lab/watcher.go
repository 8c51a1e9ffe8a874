package lab

import (
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// watcher is one observation of a client's.
type watcher struct {
	s       *Server
	by      owner
	req     wire.Request
	profile wire.Profile

	// under the server's lock
	obs  *coap.Observer
	over bool
}

// notice is a notification that is to be sent.
type notice struct {
	w *watcher
	m *coap.Message
}

// notice renders the state for one observer. The lock is held.
func (s *Server) notice(now time.Time, w *watcher) notice {
	resp := answerList(s.book.reports(now, w.by, w.req.MID))
	return notice{w: w, m: encode(w.profile, w.req, resp)}
}

// send notifies. An error ends the observation (RFC 7641, Section 4.2). The lock is not held: the observer may end by it,
// and says so at once.
func (n notice) send() {
	n.w.obs.Notify(n.m)
	if !n.m.Code.Success() {
		n.w.s.unwatch(n.w)
	}
}

// unwatch forgets an observer.
func (s *Server) unwatch(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.over = true
	delete(s.watchers, w)
}
