package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
)

// federationGateways are the gateways' addresses in their configurations, by their names.
func federationGateways() map[string]string {
	return map[string]string{"a": "127.0.0.1:4646", "b": "127.0.0.1:5646", "c": "127.0.0.1:6646"}
}

// What is attacked and what the mitigators can take, in packets and bytes per second.
const (
	attackRate  = 150_000
	mitigatedAt = 100_000 // at a
	packetSize  = 1000
)

// capacityText is the scenario of a mitigator. Of capacity 0 there is enough.
func capacityText(attack, capacity uint64) string {
	return fmt.Sprintf("attack: {packets: %d, bytes: %d}\ncapacity: {packets: %d, bytes: %d}\n", attack, packetSize*attack, capacity, packetSize*capacity)
}

// federation is the story of providers that ask each other.
type federation struct {
	*story
	customer *actor
	mid      uint32
	attacked string
}

func federationStory(s *story) []scene {
	p := &federation{story: s, attacked: "203.0.113.0/25"}
	return []scene{
		{"starting", p.begin},
		{"a customer of a's asks", p.ask},
		{"the attack is more than a can take", p.exceeded},
		{"the customer withdraws", p.withdraw},
		{"a ring of three: nobody can help", p.ring},
		{"the customer gives up", p.giveUp},
	}
}

func (p *federation) begin(ctx context.Context) error {
	all := federationGateways()
	// The attack is small as yet.
	for _, name := range sortedKeys(all) {
		if err := p.mitigator("scrubber-"+name, capacityText(mitigatedAt/2, 0)); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(all) {
		if err := p.gateway(name, name+".yaml"); err != nil {
			return err
		}
	}
	for name, as := range map[string]string{"a": "client1", "b": "a", "c": "b"} {
		if err := p.await(ctx, name, p.as(as, all[name], name)); err != nil {
			return err
		}
	}
	p.tell("lab", "started three providers' gateways, each with a mitigator: "+p.pids())
	var err error
	p.customer, err = p.enter(ctx, "customer", p.as("client1", all["a"], "a"))
	return err
}

// started waits until a mitigator has started what is attacked.
func (p *federation) started(ctx context.Context, mitigator string) (found MitigatorEntry, err error) {
	err = p.until(ctx, func() error {
		list, err := p.actions(mitigator)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(e MitigatorEntry) bool {
			return e.Action == "start" && samePrefixes(e.Prefixes, []string{p.attacked})
		})
		if i < 0 {
			return fmt.Errorf("%s has not started it: %+v", mitigator, list)
		}
		found = list[i]
		return nil
	})
	return found, err
}

func (p *federation) ask(ctx context.Context) (err error) {
	asks := prefixTarget(p.attacked)
	if p.mid, err = p.asks(ctx, p.customer, asks); err != nil {
		return err
	}
	e, err := p.started(ctx, "scrubber-a")
	if err != nil {
		return err
	}
	p.tell("scrubber-a", fmt.Sprintf("starts for %s, %d s", p.attacked, e.Lifetime))
	return p.mitigated(ctx, p.customer, p.mid, asks)
}

// exceeded lets the attack grow beyond what a can take: b is asked for the rest, and the customer told of both.
func (p *federation) exceeded(ctx context.Context) error {
	if err := errors.Join(p.attack("scrubber-a", capacityText(attackRate, mitigatedAt)), p.attack("scrubber-b", capacityText(attackRate-mitigatedAt, 0))); err != nil {
		return err
	}
	p.tell("attacker", fmt.Sprintf("sends %d packets per second, of which scrubber-a can take %d", attackRate, mitigatedAt))
	e, err := p.started(ctx, "scrubber-b")
	if err != nil {
		return err
	}
	if e.Lifetime <= 0 || e.Lifetime > 600 || e.Lifetime < 600-int64(storyPatience.Seconds()) {
		return fmt.Errorf("b was asked for %d s, want what is left of 600", e.Lifetime)
	}
	p.tell("scrubber-b", fmt.Sprintf("starts for %s, %d s: a has gone on to b", p.attacked, e.Lifetime))
	r, err := p.told(ctx, p.customer, p.mid, func(r dots.Report) bool {
		return r.Status == dots.StatusMitigated && r.Counters.PktsPerSecond.Or(0) == attackRate && r.Counters.BytesPerSecond.Or(0) == packetSize*attackRate
	})
	if err != nil {
		return err
	}
	p.tell("customer", fmt.Sprintf("is told status 2, mitigated, %d packets per second dropped: what both drop", r.Counters.PktsPerSecond.Value))
	return p.seen(ctx, "a.yaml", "customer", true)
}

// seen checks what the operator of a gateway sees of a client's mitigation.
func (p *federation) seen(ctx context.Context, config, client string, recursed bool) error {
	return p.until(ctx, func() error {
		list, err := p.mitigations(ctx, config)
		if err != nil {
			return err
		}
		for _, m := range list {
			if m.Client == client && m.Recursed == recursed && slices.Equal(m.Targets, []string{p.attacked}) {
				return nil
			}
		}
		return fmt.Errorf("the operator of %s sees %+v", config, list)
	})
}

// withdraw ends it: that reaches every mitigator.
func (p *federation) withdraw(ctx context.Context) error {
	if err := p.withdraws(ctx, p.customer, p.mid); err != nil {
		return err
	}
	if err := p.nothingInForce(ctx); err != nil {
		return err
	}
	p.tell("lab", "both mitigators have stopped, and no gateway holds anything")
	return nil
}

// nothingInForce waits until no mitigator has anything in force and no gateway holds anything.
func (p *federation) nothingInForce(ctx context.Context) error {
	for _, name := range sortedKeys(federationGateways()) {
		err := p.until(ctx, func() error {
			m := simulated{cfg: MitigatorConfig{Dir: p.path("scrubber-" + name + ".state")}, held: map[string]*inForce{}}
			if err := m.load(); err != nil {
				return err
			}
			if len(m.held) > 0 {
				return fmt.Errorf("in force at scrubber-%s: %v", name, sortedKeys(m.held))
			}
			return nil
		})
		if err = errors.Join(err, p.nothingAt(ctx, name+".yaml")); err != nil {
			return err
		}
	}
	return nil
}

// ring lets every mitigator refuse: a asks b, b asks c, and c asks a. The request goes round until its Hop-Limit is used up, and comes back to
// everybody who has asked.
//
// RFC 9132, Section 4.4.1; RFC 8768: 5.08, Hop Limit Reached.
func (p *federation) ring(ctx context.Context) error {
	for _, name := range sortedKeys(federationGateways()) {
		if err := p.attack("scrubber-"+name, "refuse: 4.00\n"); err != nil {
			return err
		}
	}
	p.tell("lab", "no mitigator takes anything any more; a asks b, b asks c, c asks a")
	resp, err := p.request(ctx, p.customer, prefixTarget(p.attacked))
	p.mid = p.last
	if err != nil {
		return err
	}
	switch resp.Code {
	case dots.CodeLoop:
		p.tell("customer", fmt.Sprintf("asks for %s as mid %d: 5.08, the request went round (%s)", p.attacked, p.mid, resp.Diagnostic))
	case dots.CodeCreated: // it took longer than a client waits
		if _, err := p.told(ctx, p.customer, p.mid, func(r dots.Report) bool { return r.Status == dots.StatusWithdrawn }); err != nil {
			return err
		}
		p.tell("customer", fmt.Sprintf("asks for %s as mid %d: taken in, and status 7 when it had gone round", p.attacked, p.mid))
	default:
		return fmt.Errorf("answered %v, want 5.08: %w", resp.Code, ctl.Failure(resp))
	}
	for name, next := range map[string]string{"a": "b", "b": "c", "c": "a"} {
		if err := p.until(ctx, func() error { return p.cameBack(name, next) }); err != nil {
			return err
		}
	}
	p.tell("lab", "each of the three has had 5.08 from the next one")
	return nil
}

// cameBack looks whether a gateway's log tells of a request that the next one refused because it went in a circle.
func (p *federation) cameBack(name, next string) error {
	raw, err := os.ReadFile(p.path(name + ".log"))
	if err != nil {
		return fmt.Errorf("reading the log of %s: %w", name, err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"uplink refused a leg" uplink=`+next+" ") && strings.Contains(line, " code="+dots.CodeLoop.String()+" ") {
			return nil
		}
	}
	return fmt.Errorf("%s has had no 5.08 from %s", name, next)
}

func (p *federation) giveUp(ctx context.Context) error {
	if err := p.withdraws(ctx, p.customer, p.mid); err != nil {
		return err
	}
	if err := p.nothingInForce(ctx); err != nil {
		return err
	}
	p.tell("lab", "nothing goes round, and nothing is left anywhere")
	return nil
}
