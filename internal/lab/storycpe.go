package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
)

// The addresses in the configuration of the gateway at an enterprise's edge.
const (
	cpeAddress      = "127.0.0.1:4646"
	cpeProvider     = "127.0.0.1:5646"
	cpeConfig       = "dotsgate.yaml"
	cpeContended    = "10.1.0.200/32"    // inside
	cpeContendedOut = "203.0.113.200/32" // the same, as the provider knows it
)

// cpe is the story of a gateway at an enterprise's edge.
type cpe struct {
	*story
	one, two       *actor
	oneMID, twoMID uint32
	twoAsks        dots.Target
	merged         Entry // the provider's request for both
	rest           Entry // and for what is left
}

func cpeStory(s *story) []scene {
	p := &cpe{story: s}
	return []scene{
		{"starting", p.begin},
		{"one detector asks", p.first},
		{"another one asks for a part of the same", p.second},
		{"the provider has a conflict", p.conflict},
		{"the first one leaves", p.leave},
		{"the second one leaves", p.end},
		{"looking for what the provider has seen", p.hidden},
	}
}

func (p *cpe) begin(ctx context.Context) error {
	refusal := "put: [{prefix: " + cpeContendedOut + ", code: 4.09, cause: 1, retry: 60}]\nsteps: [{status: 1}, {after: 1s, status: 2, rate: {bytes: 125000000, packets: 100000}}]\n"
	if err := p.server("upstream", cpeProvider, refusal); err != nil {
		return err
	}
	if err := p.await(ctx, "the provider", p.as("gateway", cpeProvider, "upstream")); err != nil {
		return err
	}
	if err := p.gateway("dotsgate", cpeConfig); err != nil {
		return err
	}
	if err := p.await(ctx, "the gateway", p.as("client1", cpeAddress, "gateway")); err != nil {
		return err
	}
	p.tell("lab", "started the provider's server and the enterprise's gateway: "+p.pids())
	var err error
	if p.one, err = p.enter(ctx, "detector1", p.as("client1", cpeAddress, "gateway")); err != nil {
		return err
	}
	over := p.as("client2", cpeAddress, "gateway")
	over.Transport = ctl.TransportTLS
	if p.two, err = p.enter(ctx, "detector2", over); err != nil {
		return err
	}
	p.tell("lab", "detector1 has a session over UDP, detector2 one over TCP")
	return nil
}

func (p *cpe) first(ctx context.Context) (err error) {
	asks := prefixTarget("10.1.0.0/28")
	if p.oneMID, err = p.asks(ctx, p.one, asks); err != nil {
		return err
	}
	if _, err = p.logged(ctx, "upstream", func(e Entry) bool { return isPut(e, "203.0.113.0/28") && e.Transport == "dtls" }); err != nil {
		return err
	}
	p.tell("provider", "is asked for 203.0.113.0/28 over UDP, the outside address of it")
	return p.mitigated(ctx, p.one, p.oneMID, asks)
}

// second asks for what overlaps, and for a name that means nothing outside.
func (p *cpe) second(ctx context.Context) (err error) {
	p.twoAsks = prefixTarget("10.1.0.8/29")
	p.twoAsks.FQDNs = []string{"www.office.example"}
	if p.twoMID, err = p.asks(ctx, p.two, p.twoAsks); err != nil {
		return err
	}
	p.merged, err = p.logged(ctx, "upstream", func(e Entry) bool { return isPut(e, "203.0.113.0/28", "203.0.113.80/32") })
	if err != nil {
		return err
	}
	if len(p.merged.Body.FQDNs) > 0 {
		return fmt.Errorf("the provider is told the names %v", p.merged.Body.FQDNs)
	}
	p.tell("provider", fmt.Sprintf("is asked for the union, 203.0.113.0/28 203.0.113.80/32, under the same cuid as mid %d", *p.merged.MID))
	if err := p.oneLeg(ctx, p.merged); err != nil {
		return err
	}
	return p.mitigated(ctx, p.two, p.twoMID, p.twoAsks)
}

// oneLeg checks that a request is the only one that stands at the provider.
func (p *cpe) oneLeg(ctx context.Context, put Entry) error {
	return p.until(ctx, func() error {
		list, err := p.standing(ctx, p.as("gateway", cpeProvider, "upstream"), put.CUID)
		if err == nil && (len(list) != 1 || list[0].MID != *put.MID) {
			err = fmt.Errorf("%d mitigations stand at the provider, want mid %d alone", len(list), *put.MID)
		}
		return err
	})
}

// conflict asks for what the provider refuses: the refusal comes back in the detector's words, and takes nobody's protection.
func (p *cpe) conflict(ctx context.Context) error {
	resp, err := p.request(ctx, p.two, prefixTarget(cpeContended))
	if err != nil {
		return err
	}
	told := resp.Conflict
	if resp.Code == dots.CodeCreated { // the provider's answer took longer than a client waits
		r, err := p.told(ctx, p.two, p.last, func(r dots.Report) bool { return r.Status == dots.StatusWithdrawn })
		if err != nil {
			return err
		}
		told = r.Conflict
	} else if resp.Code != dots.CodeConflict {
		return fmt.Errorf("answered %v, want 4.09: %w", resp.Code, ctl.Failure(resp))
	}
	if scope := told.Value.Scope; !told.Set || !scope.Equal(prefixTarget(cpeContended)) {
		return fmt.Errorf("the conflict that the detector is told is %+v", told)
	}
	p.tell("provider", "refuses "+cpeContendedOut+" with a conflict about it")
	p.tell("detector2", "asks for "+cpeContended+": refused with a conflict about "+cpeContended)
	if err := p.mitigated(ctx, p.one, p.oneMID, prefixTarget("10.1.0.0/28")); err != nil {
		return err
	}
	return p.oneLeg(ctx, p.merged)
}

func (p *cpe) leave(ctx context.Context) (err error) {
	if err := p.withdraws(ctx, p.one, p.oneMID); err != nil {
		return err
	}
	p.rest, err = p.logged(ctx, "upstream", func(e Entry) bool {
		return isPut(e, "203.0.113.8/29", "203.0.113.80/32") && *e.MID > *p.merged.MID
	})
	if err != nil {
		return err
	}
	p.tell("provider", fmt.Sprintf("is asked for what is left, 203.0.113.8/29 203.0.113.80/32, as mid %d", *p.rest.MID))
	if err := p.oneLeg(ctx, p.rest); err != nil {
		return err
	}
	return p.mitigated(ctx, p.two, p.twoMID, p.twoAsks)
}

func (p *cpe) end(ctx context.Context) error {
	if err := p.withdraws(ctx, p.two, p.twoMID); err != nil {
		return err
	}
	if _, err := p.logged(ctx, "upstream", func(e Entry) bool { return isDelete(e, p.rest) }); err != nil {
		return err
	}
	p.tell("provider", fmt.Sprintf("gets the withdrawal of mid %d: 2.02", *p.rest.MID))
	return p.until(ctx, func() error {
		list, err := p.standing(ctx, p.as("gateway", cpeProvider, "upstream"), p.rest.CUID)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d mitigations stand at the provider, want none", len(list))
		}
		return err
	})
}

// hidden checks that nothing of the inside got out.
func (p *cpe) hidden(context.Context) error {
	raw, err := os.ReadFile(p.path("upstream.journal"))
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	for _, secret := range []string{"10.1.0.", "office", "detector", "client1", "client2", p.one.CUID(), p.two.CUID()} {
		if bytes.Contains(raw, []byte(secret)) {
			return fmt.Errorf("the provider has seen %q", secret)
		}
	}
	list, err := p.entries("upstream")
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.CUID != "" && e.CUID != p.merged.CUID || strings.Contains(e.Path, "cdid=") {
			return errors.New("the provider has seen another cuid, or a cdid: " + e.Path)
		}
	}
	p.tell("lab", "the provider has seen one cuid and outside addresses: no inside address, no name, no detector's cuid")
	return nil
}
