package upstream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Manager holds the sessions to the uplinks, and what is wanted of local mitigators. All methods are safe for concurrent use.
type Manager struct {
	cfg     Config
	reloads sync.Mutex     // one Reload at a time
	tasks   sync.WaitGroup // the lines that run

	mu     sync.Mutex
	lines  []*runner // in the order of the configuration
	named  map[string]*runner
	stated bool            // the whole wanted set was stated
	ctx    context.Context // of Run; nil: it does not run
	ended  bool            // no line begins to run any more
}

// line is what makes true what is wanted of one uplink: a link with sessions to a server, or a local mitigator.
type line interface {
	// run works until ctx ends, and closes what it has opened.
	run(ctx context.Context)
	want(legs []dots.Leg)
	forget(keys []dots.LegKey)
	info() LinkInfo
	// base is what every line has.
	base() *link
}

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, named: map[string]*runner{}}
	for _, lc := range cfg.Links {
		r := m.runner(lc)
		m.lines = append(m.lines, r)
		m.named[lc.Name] = r
	}
	return m, nil
}

// Run keeps a session to every uplink until ctx ends; then it closes them, waits for all it has started and returns
// nil. Nothing is withdrawn by it. Called once.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	for _, r := range m.lines {
		m.start(r)
	}
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.tasks.Wait()
	return nil
}

// Want states legs as they are to stand at an uplink; each replaces what was wanted under its key, whatever its
// revision: the newest wins. It never blocks, and keeps the slice's elements. What is kept is bounded by the number of
// wanted legs. Legs of an unknown uplink are logged and dropped.
func (m *Manager) Want(uplink string, legs []dots.Leg) {
	m.mu.Lock() // held until the line has them, else a Reload could hand the wanted set on without them
	defer m.mu.Unlock()
	if r := m.find(uplink); r != nil {
		r.want(legs)
	}
}

// Forget drops keys that need nothing more: a request for them that is under way is given up. It never blocks.
func (m *Manager) Forget(uplink string, keys []dots.LegKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.find(uplink); r != nil {
		r.forget(keys)
	}
}

// Stated says that the whole wanted set was stated once since the start: what a local mitigator has in force and nobody
// wants is ended from then on, and not before. It never blocks.
func (m *Manager) Stated() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stated = true
	for _, r := range m.lines {
		r.stated()
	}
}

// find finds a line by its name; nil: there is none. m.mu is held.
func (m *Manager) find(uplink string) *runner {
	r := m.named[uplink]
	if r == nil {
		m.cfg.Logger.Error("legs for an unknown uplink dropped", "uplink", uplink)
	}
	return r
}

// all returns the lines in the order of the configuration.
func (m *Manager) all() []*runner {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

// LinkInfo is an uplink as the operator sees it.
type LinkInfo struct {
	Name     string
	Local    bool      // a local mitigator; it has no profile, session and peer
	Profile  string    // empty: none
	Up       bool      // it has a session, or the mitigator is open
	Since    time.Time // of the session, or of its loss; zero: there was none yet
	Dialling time.Time // when the attempt began that is under way, while there is no session; zero: none is
	Session  uint64    // for logs; 0: none
	Remote   string    // address; empty: no session
	Reliable bool      // over TCP
	// RTT is the session's smoothed round-trip time; not set: not known yet, or no session.
	RTT dots.Maybe[time.Duration]
	// Redirected is the server at which we are in the place of the provisioned one, because we were sent there (RFC 9132, Section 4.6); empty: at
	// that one.
	Redirected      string
	RedirectedUntil time.Time     // when we go back; zero: when we are sent elsewhere
	Suspect         bool          // heartbeats go unanswered on the session, which is in use all the same
	SID             uint64        // of the session configuration that was negotiated; 0: the defaults hold
	Heartbeat       time.Duration // heartbeat-interval in force; 0: none, or no session
	LastHeard       time.Time     // of the session, or of the mitigator's last answer
	Failures        int           // attempts to make a session in a row that failed
	LastError       string        // of the newest attempt or the session's end
	Legs            LegCounts
	Standing        int // at a local mitigator: what is or may be in force there, wanted or not
	InFlight        int // requests that wait for an answer
	CUIDs           int // cuids in use
	Blind           int // of these, cuids whose list of mitigations cannot be had: their mitigations are asked for one by one
}

// Links returns the uplinks in the order of the configuration.
func (m *Manager) Links() []LinkInfo {
	lines := m.all()
	infos := make([]LinkInfo, 0, len(lines))
	for _, r := range lines {
		infos = append(infos, r.info())
	}
	return infos
}
