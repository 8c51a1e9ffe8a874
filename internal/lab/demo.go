package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/wire"
)

// patience is how long each scene of the demonstration may take.
const patience = 25 * time.Second

// play is one run of the demonstration.
type play struct {
	*stage
	teller
	cuid   string // client1's
	states chan dots.Report
	leg    Entry // the gateway's request to the simulated server
}

// target is what is attacked.
func target() netip.Prefix { return netip.MustParsePrefix("192.0.2.0/24") }

// Demo plays the story of cfg.Deployment, or where it names none one attack through: client1 asks the gateway for a mitigation, the gateway asks the simulated server, the
// status comes back, the client withdraws. Every scene is checked at both ends; an error says which one was not as it must
// be. What happens is told to the writer, a line each. Where
// cfg.Dir is empty it works in a temporary folder, which it removes.
func Demo(ctx context.Context, cfg StageConfig, to io.Writer) (err error) {
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "dotslab-")
		if err != nil {
			return fmt.Errorf("making the lab's folder: %w", err)
		}
		cfg.Dir = dir
		defer func() { _ = os.RemoveAll(dir) }() // it is a temporary one
	}
	if cfg.Deployment != "" {
		return tellStory(ctx, cfg, to)
	}
	cfg.FreePorts = true
	s, err := newStage(cfg)
	if err != nil {
		return err
	}
	p := &play{stage: s, teller: teller{to: to, began: time.Now()}, states: make(chan dots.Report, 64)}
	err = p.start(ctx)
	if err == nil {
		p.tell("lab", "started "+p.pids())
		err = p.act(ctx)
	}
	if err != nil {
		for _, c := range p.children {
			err = fmt.Errorf("%w\nthe last that %s said:\n%s", err, c.name, c.tail())
		}
	}
	stopped := p.stop()
	if err == nil && stopped == nil {
		p.tell("lab", "the gateway and the simulated server ended when they were told to")
	}
	return errors.Join(err, stopped)
}

// teller tells what happens, and when.
type teller struct {
	to    io.Writer
	began time.Time
}

// tell adds a row to the table.
func (t teller) tell(who, what string) {
	say(t.to, "%6.2f s  %-9s %s\n", time.Since(t.began).Seconds(), who, what)
}

// act plays the client's part over one session.
func (p *play) act(ctx context.Context) error {
	return ctl.Open(ctx, p.as("client1"), patience, func(ctx context.Context, c *ctl.Conn) error {
		p.cuid = c.CUID()
		for _, scene := range []struct {
			name string
			play func(context.Context, *ctl.Conn) error
		}{
			{"asking for a mitigation", p.ask},
			{"looking at what the gateway asked upstream", p.asked},
			{"watching until it is mitigated", p.watch},
			{"withdrawing", p.withdraw},
			{"looking for what is left", p.nothingLeft},
		} {
			ctx, cancel := context.WithTimeout(ctx, patience)
			err := scene.play(ctx, c)
			cancel()
			if err != nil {
				return fmt.Errorf("%s: %w", scene.name, err)
			}
		}
		return nil
	})
}

// demoMID is the client's own number; the gateway's is another one.
const demoMID = 7001

func (p *play) ask(ctx context.Context, c *ctl.Conn) error {
	resp, err := c.Mitigate(ctx, dots.Request{
		MID: demoMID, Target: dots.Target{Prefixes: []netip.Prefix{target()}}, Lifetime: dots.Some[dots.Lifetime](600),
	})
	if err != nil {
		return err
	}
	if resp.Code != dots.CodeCreated {
		return fmt.Errorf("answered %v, want 2.01: %w", resp.Code, ctl.Failure(resp))
	}
	p.tell("client1", fmt.Sprintf("asks for %v as mid %d: 2.01, lifetime %d s", target(), demoMID, resp.Granted.Value.Lifetime))
	return nil
}

// asked waits for the gateway's own request in the simulated server's journal.
func (p *play) asked(ctx context.Context, _ *ctl.Conn) error {
	is := func(e Entry) bool {
		return e.Op == "put mitigation" && e.Answer == "2.01" && e.Identity == "gateway.lab.example" &&
			e.Body != nil && slices.Equal(e.Body.Prefixes, []string{target().String()})
	}
	var err error
	p.leg, err = p.logged(ctx, is)
	if err != nil {
		return fmt.Errorf("the gateway's PUT is not in the journal: %w", err)
	}
	if p.leg.CUID == "" || p.leg.CUID == p.cuid || p.leg.MID == nil {
		return fmt.Errorf("the gateway's PUT has cuid %q (the client's is %q), mid %v", p.leg.CUID, p.cuid, p.leg.MID)
	}
	if p.leg.HopLimit == nil {
		return errors.New("the gateway's PUT has no Hop-Limit")
	}
	p.tell("upstream", fmt.Sprintf("gets the gateway's own request, cuid %s mid %d: 2.01", p.leg.CUID, *p.leg.MID))
	return nil
}

// logged waits for an entry of the journal.
func (p *play) logged(ctx context.Context, is func(Entry) bool) (found Entry, err error) {
	err = whileAlive(ctx, p.children, func(context.Context) error {
		entries, err := p.journal()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(entries, is)
		if i < 0 {
			return fmt.Errorf("none of %d entries is", len(entries))
		}
		found = entries[i]
		return nil
	})
	return found, err
}

// watch observes the mitigation and waits for status 1 and 2.
func (p *play) watch(ctx context.Context, c *ctl.Conn) error {
	_, err := c.Observe(ctx, dots.Some[uint32](demoMID), func(resp wire.Response, err error) {
		if err != nil {
			return
		}
		for _, r := range resp.Reports {
			select {
			case p.states <- r:
			default: // nobody waits for it
			}
		}
	})
	if err != nil {
		return err
	}
	return p.see(ctx, dots.StatusInProgress, dots.StatusMitigated)
}

// see waits for statuses, each of which must be told, in their order.
func (p *play) see(ctx context.Context, wanted ...dots.Status) error {
	for _, status := range wanted {
		for seen := false; !seen; {
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for status %d (%v): %w", status, status, ctx.Err())
			case r := <-p.states:
				seen = r.Status == status
				if seen {
					p.tell("client1", fmt.Sprintf("is told status %d, %v%s", status, status, dropped(r.Counters)))
				}
			}
		}
	}
	return nil
}

func dropped(c dots.Counters) string {
	if !c.BytesDropped.Set {
		return ""
	}
	return fmt.Sprintf(", %d bytes dropped", c.BytesDropped.Value)
}

// withdraw ends the mitigation and waits for status 5 and 6.
func (p *play) withdraw(ctx context.Context, c *ctl.Conn) error {
	resp, err := c.Withdraw(ctx, demoMID)
	if err != nil {
		return err
	}
	if resp.Code != dots.CodeDeleted {
		return fmt.Errorf("answered %v, want 2.02: %w", resp.Code, ctl.Failure(resp))
	}
	p.tell("client1", "withdraws: 2.02")
	if _, err := p.logged(ctx, func(e Entry) bool {
		return e.Op == "delete mitigation" && e.Answer == "2.02" && e.CUID == p.leg.CUID && e.MID != nil && *e.MID == *p.leg.MID
	}); err != nil {
		return fmt.Errorf("the gateway's DELETE is not in the journal: %w", err)
	}
	p.tell("upstream", fmt.Sprintf("gets the gateway's withdrawal of mid %d: 2.02", *p.leg.MID))
	return p.see(ctx, dots.StatusClientWithdrawn, dots.StatusTerminated)
}

// nothingLeft checks that neither the gateway nor the simulated server holds anything, and that nothing of the client's got
// through.
func (p *play) nothingLeft(ctx context.Context, c *ctl.Conn) error {
	if err := whileAlive(ctx, p.children, gone(c.Client)); err != nil {
		return fmt.Errorf("at the gateway: %w", err)
	}
	p.tell("client1", "asks for its mitigations: 4.04, nothing is left at the gateway")
	above := p.as("gateway")
	above.Server, above.CUID = p.upstream, p.leg.CUID
	err := ctl.Open(ctx, above, patience, func(ctx context.Context, c *ctl.Conn) error {
		return whileAlive(ctx, p.children, gone(c.Client))
	})
	if err != nil {
		return fmt.Errorf("at the simulated server: %w", err)
	}
	p.tell("upstream", "nothing is left")
	raw, err := os.ReadFile(p.path("upstream.journal"))
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	if bytes.Contains(raw, []byte(p.cuid)) || bytes.Contains(raw, []byte("client1")) {
		return errors.New("the simulated server has seen the client's cuid or name")
	}
	p.tell("lab", "the simulated server has seen nothing of the client: neither its cuid nor its name")
	return nil
}

// gone returns what tries whether a client has no mitigation any more.
func gone(c *ctl.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		resp, err := c.Get(ctx, dots.Maybe[uint32]{})
		switch {
		case err != nil:
			return err
		case resp.Code != dots.CodeNotFound:
			return fmt.Errorf("answered %v with %d mitigations, want 4.04", resp.Code, len(resp.Reports))
		}
		return nil
	}
}
