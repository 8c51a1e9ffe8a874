package bgp

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// lookup bounds the prefixes that one call asks for.
const lookup = 256

// scans is how much longer the look through whole tables at Open may take than another call: they may hold the whole Internet.
const scans = 12

// Mitigator announces the routes of legs through gobgpd. It implements upstream.Mitigator: its methods are called by one
// goroutine at a time, and each call to gobgpd is bounded by Config.Timeout.
type Mitigator struct {
	config Config
	maker  maker
	table  *table
	marker large

	conn    *grpc.ClientConn // nil while it is not open
	speaker speaker
}

var _ upstream.Mitigator = (*Mitigator)(nil)

// New makes a Mitigator; it does not look for gobgpd before Open. The error names the field that is wrong.
func New(c Config) (*Mitigator, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configuring mitigator %s: %w", c.Name, err)
	}
	m := &Mitigator{config: c, table: newTable(c.Name)}
	var err error
	if m.maker, err = newMaker(c); err != nil {
		return nil, fmt.Errorf("configuring mitigator %s: %w", c.Name, err)
	}
	if c.Marker != "" {
		if m.marker, err = parseLarge(c.Marker); err != nil {
			return nil, fmt.Errorf("configuring mitigator %s: marker: %w", c.Name, err)
		}
	}
	return m, nil
}

// Open connects to gobgpd and finds what of ours it has. What no leg of this run is known to want comes under a key of its own,
// whose Stop withdraws it; such a key goes by itself when a leg claims the route.
func (m *Mitigator) Open(ctx context.Context) ([]dots.LegKey, error) {
	if err := m.Close(); err != nil {
		return nil, err
	}
	conn, err := connect(m.config)
	if err != nil {
		return nil, err
	}
	m.conn = conn
	found, err := m.look(ctx)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m.table.settle(found), nil
}

// look finds the dialect and the marked routes over a new connection.
func (m *Mitigator) look(ctx context.Context) ([]path, error) {
	as, err := m.greet(ctx)
	if err != nil {
		return nil, failed("asking gobgpd for its AS number", err)
	}
	if as == 0 {
		return nil, errors.New("gobgpd has no AS number yet")
	}
	if m.config.Marker == "" {
		m.marker = markerOf(as, m.config.Node, m.config.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, scans*m.config.Timeout)
	defer cancel()
	var found []path
	for _, f := range families() {
		err := failed("asking gobgpd for its routes", m.marked(ctx, f, nil, func(p path) { found = append(found, p) }))
		if err != nil && m.needs(f, err) {
			return nil, err
		}
	}
	return found, nil
}

// greet finds the dialect.
func (m *Mitigator) greet(ctx context.Context) (as uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	m.speaker, as, err = detect(ctx, m.conn, m.config.API)
	return as, err
}

// needs reports whether a family that cannot be listed matters: gobgpd may be set up without those that another mode would use.
func (m *Mitigator) needs(f family, err error) bool {
	return errors.Is(err, upstream.ErrGone) || (f.safi == safiFlowspec) == (m.config.Mode == ModeFlowspec)
}

// markerOf makes a marker of names: the AS number says who may use the rest as he likes (RFC 8092, Section 2).
func markerOf(as uint32, node, name string) large {
	sum := sha256.Sum256([]byte(node + "\x00" + name))
	return large{as, binary.BigEndian.Uint32(sum[:]), binary.BigEndian.Uint32(sum[4:])}
}

// Start announces a leg's routes. A leg that changes gets the new ones first, then those go that it does not want any more. An armed
// leg has none. Refused are targets without a prefix and prefixes that are too short (4.00), and what finds no room (5.03).
func (m *Mitigator) Start(ctx context.Context, leg dots.Leg) error {
	if leg.Withdraw {
		return m.Stop(ctx, leg.Key)
	}
	wanted, refusal := m.maker.routes(leg.Request.Target)
	if refusal != nil {
		return refusal
	}
	if leg.Request.OnSignalLoss {
		wanted = nil
	}
	if len(m.table.routes)+m.table.fresh(wanted) > m.config.MaxRoutes {
		return &dots.Error{Code: dots.CodeUnavailable, Text: "the mitigator is full", MaxAge: fullMaxAge}
	}
	for _, h := range m.table.claim(leg.Key, wanted) {
		if err := m.announce(ctx, h); err != nil {
			return err
		}
	}
	return m.drop(ctx, leg.Key, m.table.surplus(leg.Key, wanted))
}

// Stop withdraws the routes that no other leg wants. One of an earlier run stays until the next Status while there are legs: after a
// restart the leg that wants it may be started only then, and the route is not to be away in between.
func (m *Mitigator) Stop(ctx context.Context, key dots.LegKey) error {
	if _, ok := m.table.stale[key]; ok {
		m.table.doomed[key] = true
	} else if err := m.drop(ctx, key, m.table.of(key)); err != nil {
		return err
	}
	delete(m.table.legs, key)
	if len(m.table.legs) > 0 {
		return nil
	}
	return m.sweep(ctx)
}

// sweep withdraws the routes of an earlier run that are to go.
func (m *Mitigator) sweep(ctx context.Context) error {
	for key := range m.table.doomed {
		if err := m.withdraw(ctx, m.table.stale[key]); err != nil {
			return err
		}
		m.table.spare(key)
	}
	return nil
}

// drop takes routes from a leg.
func (m *Mitigator) drop(ctx context.Context, key dots.LegKey, list []*held) error {
	for _, h := range list {
		if h.last(key) && h.there {
			if err := m.withdraw(ctx, h.path); err != nil {
				return err
			}
		}
		m.table.release(key, h)
	}
	return nil
}

// Status tells 2 of a leg whose routes gobgpd has while a peer takes them, 8 of an armed one, and 1 otherwise. A route that is
// missing is announced again, and Status is 1 until it is seen.
func (m *Mitigator) Status(ctx context.Context, keys []dots.LegKey) ([]upstream.LegReport, error) {
	if err := m.sweep(ctx); err != nil {
		return nil, err
	}
	known := slices.DeleteFunc(slices.Clone(keys), func(k dots.LegKey) bool { return m.table.legs[k] == nil })
	if len(known) == 0 {
		return nil, m.alive(ctx)
	}
	there, err := m.present(ctx, known)
	if err != nil {
		return nil, err
	}
	able, err := m.reach(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]upstream.LegReport, 0, len(known))
	for _, key := range known {
		s, err := m.status(ctx, key, there, able)
		if err != nil {
			return nil, err
		}
		list = append(list, upstream.LegReport{Key: key, Report: dots.Report{MID: key.MID, Status: s}})
	}
	return list, nil
}

// alive asks gobgpd for nothing in particular, so that its end is noticed while nothing is wanted.
func (m *Mitigator) alive(ctx context.Context) error {
	return m.call(ctx, "asking gobgpd for its AS number", func(ctx context.Context) error {
		_, err := m.speaker.as(ctx)
		return err
	})
}

// status is that of one leg.
func (m *Mitigator) status(ctx context.Context, key dots.LegKey, there map[string]bool, able map[family]bool) (dots.Status, error) {
	routes := m.table.of(key)
	if len(routes) == 0 {
		return dots.StatusSignalLossArmed, nil
	}
	s := dots.StatusMitigated
	for _, h := range routes {
		if !there[h.path.id()] {
			s = dots.StatusInProgress
			m.config.Logger.Warn("route was missing at gobgpd, announced again", "mitigator", m.config.Name, "route", m.table.staleKey(h.path).CUID)
			if err := m.announce(ctx, h); err != nil {
				return 0, err
			}
			there[h.path.id()] = true // once for all legs
		}
		if !able[h.path.family] {
			s = dots.StatusInProgress
		}
	}
	return s, nil
}

// present finds which routes of some legs gobgpd has. Prefixes are asked for by name, rules are few enough to be listed.
func (m *Mitigator) present(ctx context.Context, keys []dots.LegKey) (map[string]bool, error) {
	asked := map[family]map[string]bool{}
	for _, key := range keys {
		for _, h := range m.table.of(key) {
			f := h.path.family
			if asked[f] == nil {
				asked[f] = map[string]bool{}
			}
			if prefix, ok := h.path.prefixOf(); ok {
				asked[f][prefix.String()] = true
			}
		}
	}
	there := map[string]bool{}
	tell := func(p path) { there[p.id()] = true }
	for f, set := range asked {
		if len(set) == 0 {
			if err := m.list(ctx, f, nil, tell); err != nil {
				return nil, err
			}
			continue
		}
		names := make([]string, 0, len(set))
		for name := range set {
			names = append(names, name)
		}
		for some := range slices.Chunk(names, lookup) {
			if err := m.list(ctx, f, some, tell); err != nil {
				return nil, err
			}
		}
	}
	return there, nil
}

// reach finds the families of which at least one peer takes routes.
func (m *Mitigator) reach(ctx context.Context) (map[family]bool, error) {
	able := map[family]bool{}
	return able, m.call(ctx, "asking gobgpd for its peers", func(ctx context.Context) error {
		peers, err := m.speaker.peers(ctx)
		for _, p := range peers {
			for _, f := range families() {
				able[f] = able[f] || p.takes(f)
			}
		}
		return err
	})
}

// list tells of the marked routes of a family to some prefixes, or of all where none are named.
func (m *Mitigator) list(ctx context.Context, f family, prefixes []string, tell func(path)) error {
	return m.call(ctx, "asking gobgpd for its routes", func(ctx context.Context) error {
		return m.marked(ctx, f, prefixes, tell)
	})
}

// marked tells of the routes with our marker that gobgpd itself announces.
func (m *Mitigator) marked(ctx context.Context, f family, prefixes []string, tell func(path)) error {
	return m.speaker.list(ctx, f, prefixes, func(p path) {
		if p.local && p.carries(m.marker) {
			tell(p)
		}
	})
}

// announce tells gobgpd of a route.
func (m *Mitigator) announce(ctx context.Context, h *held) error {
	err := m.call(ctx, "announcing a route", func(ctx context.Context) error {
		return m.speaker.announce(ctx, m.maker.dressed(h.path, m.marker))
	})
	if err == nil {
		h.there, h.current = true, true
	}
	return err
}

// withdraw takes a route back. gobgpd wants a next hop with it, and looks at the destination only.
func (m *Mitigator) withdraw(ctx context.Context, p path) error {
	return m.call(ctx, "withdrawing a route", func(ctx context.Context) error {
		return m.speaker.withdraw(ctx, m.maker.dressed(p, m.marker))
	})
}

// call bounds a call to gobgpd, and says what failed.
func (m *Mitigator) call(ctx context.Context, doing string, do func(context.Context) error) error {
	if m.conn == nil {
		return fmt.Errorf("%s: %w", doing, upstream.ErrGone)
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	return failed(doing, do(ctx))
}

// Close ends the connection. Routes stay, and so does what is known of them.
func (m *Mitigator) Close() error {
	if m.conn == nil {
		return nil
	}
	err := m.conn.Close()
	m.conn, m.speaker = nil, nil
	if err != nil && status.Code(err) != codes.Canceled {
		return fmt.Errorf("closing the connection to gobgpd: %w", err)
	}
	return nil
}
