package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// Mitigator is a mitigator that is asked by messages. It is not safe for concurrent use, and starts nothing that outlives a call.
type Mitigator struct {
	identity
	carrier
	known   map[dots.LegKey]bool        // was started or listed since Open, and not stopped: bounded by what is in force
	pending map[dots.LegKey]dots.Report // told with an answer and not yet by Status; of what is known only
}

var _ upstream.Mitigator = (*Mitigator)(nil)

// carrier carries messages to what does them.
type carrier interface {
	// open makes it ready.
	open() error
	// ask carries a message and returns its answer. A *dots.Error is a refusal.
	ask(ctx context.Context, m message) (answer, error)
	// status asks how legs fare. It may leave some out.
	status(ctx context.Context, m *Mitigator, keys []dots.LegKey) ([]upstream.LegReport, error)
	close()
}

func newMitigator(i identity, c carrier) *Mitigator {
	return &Mitigator{identity: i, carrier: c, known: map[dots.LegKey]bool{}, pending: map[dots.LegKey]dots.Report{}}
}

// Open asks what is in force (action list). A receiver that refuses to tell, or tells nothing, knows of nothing. IDs that are not of this
// gateway's uplink are passed over.
func (m *Mitigator) Open(ctx context.Context) ([]dots.LegKey, error) {
	if err := m.open(); err != nil {
		return nil, err
	}
	m.known, m.pending = map[dots.LegKey]bool{}, map[dots.LegKey]dots.Report{}
	a, err := m.ask(ctx, newMessage(message{Action: actionList, Scope: m.scope + "."}))
	var refused *dots.Error
	if err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	var keys []dots.LegKey
	for _, s := range a.Mitigations {
		k, ours := m.key(s.ID)
		if !ours || m.known[k] {
			continue
		}
		if r, _ := s.report(); r.Status == dots.StatusTerminated || r.Status == dots.StatusWithdrawn {
			continue
		}
		keys = append(keys, k)
		m.known[k] = true
		m.keep(k, s)
	}
	return keys, nil
}

// Start asks for a leg (action start, or change where it is known to be in force).
func (m *Mitigator) Start(ctx context.Context, leg dots.Leg) error {
	action := actionStart
	if m.known[leg.Key] {
		action = actionChange
	}
	a, err := m.ask(ctx, newMessage(message{Action: action, ID: m.id(leg.Key), Mitigation: mitigationOf(leg)}))
	if err != nil {
		return err
	}
	m.known[leg.Key] = true
	m.keep(leg.Key, a.state)
	return nil
}

// Stop asks to end a leg (action stop).
func (m *Mitigator) Stop(ctx context.Context, key dots.LegKey) error {
	if _, err := m.ask(ctx, newMessage(message{Action: actionStop, ID: m.id(key)})); err != nil {
		return err
	}
	delete(m.known, key)
	delete(m.pending, key)
	return nil
}

// Status tells what the answers have told since, and asks.
func (m *Mitigator) Status(ctx context.Context, keys []dots.LegKey) ([]upstream.LegReport, error) {
	var told []upstream.LegReport
	for _, k := range keys {
		if r, ok := m.pending[k]; ok {
			told = append(told, upstream.LegReport{Key: k, Report: r})
		}
	}
	asked, err := m.status(ctx, m, keys)
	if err != nil {
		return nil, err
	}
	for _, t := range told {
		delete(m.pending, t.Key)
	}
	return append(told, asked...), nil
}

// Close lets go of connections. What is in force stays in force.
func (m *Mitigator) Close() error {
	m.close()
	return nil
}

// keep keeps what was told with an answer.
func (m *Mitigator) keep(k dots.LegKey, s state) {
	if r, err := s.report(); err == nil && s.tells() {
		m.pending[k] = r
	}
}

// newMessage gives a message what every message has.
func newMessage(m message) message {
	m.Version, m.Request = version, rand.Text()
	return m
}

// reports is what an answer to status tells of the legs that were asked of.
func (m *Mitigator) reports(a answer, keys []dots.LegKey) []upstream.LegReport {
	asked := make(map[string]dots.LegKey, len(keys))
	for _, k := range keys {
		asked[m.id(k)] = k
	}
	if len(keys) == 1 && a.tells() {
		a.ID = m.id(keys[0])
		a.Mitigations = append(a.Mitigations, a.state)
	}
	var told []upstream.LegReport
	for _, s := range a.Mitigations {
		k, ours := asked[s.ID]
		if r, err := s.report(); ours && err == nil && s.tells() {
			told = append(told, upstream.LegReport{Key: k, Report: r})
		}
	}
	return told
}

// refusedOr is the error of an answer, if it is one.
func refusedOr(a answer, err error) (answer, error) {
	switch {
	case err != nil:
		return answer{}, err
	case a.Refused != nil:
		return answer{}, fmt.Errorf("asking the mitigator: %w", a.Refused.error())
	}
	return a, nil
}
