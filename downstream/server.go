package downstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// sweepEvery is how soon a session that ended is noticed. Sessions end without telling, and a goroutine that waits
// for each would cost more than looking at all of them once a second.
const sweepEvery = time.Second

// ErrProfile says that Attach was given the name of a profile that is not configured.
var ErrProfile = errors.New("unknown profile")

// Server is the server side of the signal channel: a coap.Handler for every session attached to it.
// All methods are safe for concurrent use.
type Server struct {
	cfg       Config
	offer     *offer
	alarms    *alarms
	watchers  *watchTable
	presence  *presence
	activity  *activity
	redirects *redirects
	sweeping  alarm
	unicast   dots.Redirect // where anycast listeners send clients to
	slots     chan struct{} // one for each heartbeat that awaits its answer
	beats     sync.WaitGroup
	spare     sync.Pool // *call
	repeats   *repeats

	mu    sync.RWMutex
	peers map[*coap.Session]*peer
}

// New makes a Server. Nothing is timed before Run is called. An error names what is wrong with the config.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("checking the config of the server side: %w", err)
	}
	a := newAlarms(cfg.Now)
	s := &Server{
		cfg: cfg, offer: newOffer(cfg.Session), alarms: a, watchers: newWatchTable(cfg, a), presence: newPresence(cfg.Core, cfg.Now), activity: newActivity(), redirects: newRedirects(),
		repeats: newRepeats(),
		unicast: unicast(cfg), slots: make(chan struct{}, cfg.MaxHeartbeats), peers: make(map[*coap.Session]*peer),
	}
	s.sweeping.ring = func(_ context.Context, now time.Time) {
		s.sweep()
		s.alarms.set(&s.sweeping, now.Add(sweepEvery))
	}
	return s, nil
}

// Run serves everything timed: heartbeats, the loss of sessions and the pacing of notifications. It returns nil when
// ctx ends, after everything it started has ended. It is called once; sessions are left as they are.
func (s *Server) Run(ctx context.Context) error {
	s.alarms.set(&s.sweeping, s.cfg.Now().Add(sweepEvery))
	s.alarms.run(ctx)
	s.beats.Wait()
	return nil
}

// Attach takes a new session, made with SessionLimits, before its first request is served, and keeps it until that is done.
// The error is ErrProfile, ErrNoUnicast, what Config.Believed says, or that the session has ended already.
func (s *Server) Attach(sess *coap.Session, from Listener) error {
	return s.attach(sess, from, func(*peer) {})
}

// attach is Attach; prepare is called with the new peer before anybody else knows of it.
func (s *Server) attach(sess *coap.Session, from Listener, prepare func(*peer)) error {
	spoken, err := s.spoken(from.Profiles)
	if err != nil {
		return fmt.Errorf("attaching a session: %w", err)
	}
	if from.Anycast && len(s.unicast.Records) == 0 {
		return fmt.Errorf("attaching a session: %w", ErrNoUnicast)
	}
	if sess.Ended() {
		return fmt.Errorf("attaching a session: %w", sess.Err())
	}
	p := newPeer(s, sess, spoken)
	p.from = from
	prepare(p)
	s.settle(p) // before anybody else knows of it, and may take leave of it
	if !s.enter(p) {
		p.uncount()
		return nil
	}
	s.cfg.Meter.SessionUp(sess.Reliable())
	entry, _ := s.identify(p)
	if err := s.distrusts(p); err != nil { // what it proved a moment ago was replaced meanwhile
		return fmt.Errorf("attaching a session: %w", err)
	}
	s.makeRoom(p, entry)
	p.begin()
	s.cfg.Logger.Info("session up", "session", sess.ID(), "client", entry, "transport", sess.Transport(), "peer", sess.RemoteAddr().String())
	return nil
}

// enter enters a session, unless it is there already.
func (s *Server) enter(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.peers[p.sess]
	if !known {
		s.peers[p.sess] = p
	}
	return !known
}

// spoken turns the names of profiles into profiles.
func (s *Server) spoken(names []string) ([]wire.Profile, error) {
	if len(names) == 0 {
		return s.cfg.Profiles[:1], nil
	}
	var spoken []wire.Profile
	for _, name := range names {
		i := slices.IndexFunc(s.cfg.Profiles, func(p wire.Profile) bool { return p.Name() == name })
		if i < 0 {
			return nil, fmt.Errorf("%w %q", ErrProfile, name)
		}
		spoken = append(spoken, s.cfg.Profiles[i])
	}
	return spoken, nil
}

// Changed says that what Core.Reports tells of a mitigation has changed: its observers are told, each as soon as its
// pace allows. It does not block.
func (s *Server) Changed(key dots.MitigationKey) {
	s.watchers.changed(resource{client: key.Client, mid: dots.Some(key.MID)})
	s.watchers.changed(resource{client: key.Client})
}

// peer returns what is known of a session; nil when it is not attached, or no longer.
func (s *Server) peer(sess *coap.Session) *peer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.peers[sess]
}

// identify asks who the peer is, as the configuration says now, and notes the change if it is another one.
func (s *Server) identify(p *peer) (entry string, known bool) {
	entry, known = s.cfg.Core.Identify(p.credential)
	if !known {
		entry = ""
	}
	if p.client() != entry {
		s.moved(p, entry)
	}
	return entry, known
}

// moved notes that a session is now of another client entry.
func (s *Server) moved(p *peer, entry string) {
	p.telling.Lock()
	defer p.telling.Unlock()
	before, down := p.become(entry)
	if down || before == entry {
		return
	}
	s.watchers.evict(p)
	if p.elsewhere.Set {
		s.passes(p, entry)
		return
	}
	if before != "" {
		s.activity.leave(before, p)
		s.presence.leave(before, p.span())
	}
	if entry != "" {
		s.activity.join(entry, p)
		s.presence.join(entry, p.longest())
	}
}

// sweep takes leave of the sessions that have ended.
func (s *Server) sweep() {
	var ended []*peer
	s.mu.RLock()
	for sess, p := range s.peers {
		if sess.Ended() {
			ended = append(ended, p)
		}
	}
	s.mu.RUnlock()
	for _, p := range ended {
		s.detach(p, Closed)
	}
}

// lost ends a session whose peer was not heard for too long.
func (s *Server) lost(p *peer) {
	s.sweep() // a session that its client closed a moment ago is none any more
	if err := p.sess.Close(); err != nil {
		s.cfg.Logger.Debug("closing a lost session failed", "session", p.sess.ID(), "error", err)
	}
	s.detach(p, Lost)
}

// detach forgets a session; whoever comes second does nothing.
func (s *Server) detach(p *peer, why Ending) {
	s.mu.Lock()
	_, known := s.peers[p.sess]
	delete(s.peers, p.sess)
	s.mu.Unlock()
	if !known {
		return
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	entry := p.end()
	s.cfg.Meter.SessionDown(p.sess.Reliable(), why)
	s.cfg.Logger.Info("session down", "session", p.sess.ID(), "client", entry, "lost", why == Lost, "reason", p.sess.Err())
	p.uncount()
	if entry == "" || p.elsewhere.Set {
		return
	}
	s.activity.leave(entry, p)
	// A client that was sent to another server has gone there: it is due back when that is over.
	away := s.redirects.away(entry, s.cfg.Now())
	if why != Lost || away > 0 {
		away += p.span()
	}
	s.presence.leave(entry, away)
}
