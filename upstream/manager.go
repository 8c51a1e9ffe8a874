package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Manager holds the sessions to the uplinks. All methods are safe for concurrent use.
type Manager struct {
	cfg   Config
	links []*link
	named map[string]*link
}

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Manager, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, named: map[string]*link{}}
	for _, lc := range cfg.Links {
		l := newLink(cfg, lc)
		m.links = append(m.links, l)
		m.named[lc.Name] = l
	}
	return m, nil
}

// Run keeps a session to every uplink until ctx ends; then it closes them, waits for all it has started and returns
// nil. Nothing is withdrawn by it. Called once.
func (m *Manager) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, l := range m.links {
		all.Go(func() { l.run(ctx) })
	}
	all.Wait()
	return nil
}

// Want states legs as they are to stand at an uplink; each replaces what was wanted under its key, whatever its
// revision: the newest wins. It never blocks, and keeps the slice's elements. What is kept is bounded by the number of
// wanted legs. Legs of an unknown uplink are logged and dropped.
func (m *Manager) Want(uplink string, legs []dots.Leg) {
	if l := m.link(uplink); l != nil {
		l.change(func(p *plan) []uint64 { return p.want(legs) })
	}
}

// Forget drops keys that need nothing more: a request for them that is under way is given up. It never blocks.
func (m *Manager) Forget(uplink string, keys []dots.LegKey) {
	if l := m.link(uplink); l != nil {
		l.change(func(p *plan) []uint64 { return p.forget(keys) })
	}
}

func (m *Manager) link(uplink string) *link {
	l := m.named[uplink]
	if l == nil {
		m.cfg.Logger.Error("legs for an unknown uplink dropped", "uplink", uplink)
	}
	return l
}

// LinkInfo is an uplink as the operator sees it.
type LinkInfo struct {
	Name      string
	Profile   string
	Up        bool
	Since     time.Time // of the session, or of its loss; zero: there was none yet
	Session   uint64    // for logs; 0: none
	Remote    string    // address; empty: no session
	Reliable  bool      // over TCP
	LastHeard time.Time // of the session
	Failures  int       // attempts to make a session in a row that failed
	LastError string    // of the newest attempt or the session's end
	Legs      LegCounts
	InFlight  int // requests that wait for an answer
	CUIDs     int // cuids in use
	Blind     int // of these, cuids whose list of mitigations cannot be had: their mitigations are asked for one by one
}

// Links returns the uplinks in the order of the configuration.
func (m *Manager) Links() []LinkInfo {
	infos := make([]LinkInfo, 0, len(m.links))
	for _, l := range m.links {
		infos = append(infos, l.info())
	}
	return infos
}
