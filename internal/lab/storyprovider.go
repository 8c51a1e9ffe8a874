package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// The addresses in the configuration of the gateway before a farm.
const (
	farmAddress = "127.0.0.1:4646"
	farmShared  = "127.0.0.2:4646"
	farmConfig  = "dotsgate.yaml"
)

// farmServers are the servers' addresses there, by their certificates.
func farmServers() map[string]string {
	return map[string]string{"server1": "127.0.0.1:5646", "server2": "127.0.0.1:5647", "server3": "127.0.0.1:5648"}
}

// customer is one of the farm's clients.
type customer struct {
	*actor
	cert, cuid, prefix string
	mid                uint32
	put                Entry  // the last request for it that was seen
	server             string // where that was
}

// farm is the story of a gateway before a farm.
type farm struct {
	*story
	customers []*customer
	alive     map[string]string // the servers' addresses
}

func providerStory(s *story) []scene {
	// Where a customer is, is decided by a hash of its name and cuid: with these there is one at each server.
	p := &farm{story: s, alive: farmServers(), customers: []*customer{
		{actor: &actor{name: "north"}, cert: "client1", cuid: "north-1", prefix: "192.0.2.0/26"},
		{actor: &actor{name: "south"}, cert: "client2", cuid: "south-1", prefix: "198.51.100.0/26"},
		{actor: &actor{name: "west"}, cert: "client3", cuid: "west-1", prefix: "203.0.113.0/26"},
	}}
	return []scene{
		{"starting", p.begin},
		{"coming in by the nodes' common address", p.shared},
		{"each customer asks", p.spread},
		{"a server dies", p.death},
		{"the operator drains another one", p.drain},
		{"the customers withdraw", p.end},
	}
}

func (p *farm) begin(ctx context.Context) error {
	for _, name := range sortedKeys(p.alive) {
		steps := "steps: [{status: 1}, {after: 500ms, status: 2, rate: {bytes: 12500000, packets: 10000}}]\n"
		if err := p.server(name, p.alive[name], steps); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(p.alive) {
		if err := p.await(ctx, name, p.as("gateway", p.alive[name], name)); err != nil {
			return err
		}
	}
	if err := p.gateway("dotsgate", farmConfig); err != nil {
		return err
	}
	if err := p.await(ctx, "the gateway", p.as("client1", farmAddress, "gateway")); err != nil {
		return err
	}
	p.tell("lab", "started three servers and the gateway: "+p.pids())
	return p.linksUp(ctx, len(p.alive))
}

// linksUp waits until the gateway has sessions to so many servers: before, customers would be spread over those that there are.
func (p *farm) linksUp(ctx context.Context, n int) error {
	return p.until(ctx, func() error {
		up, err := p.uplinksUp(ctx, farmConfig)
		if err == nil && len(up) != n {
			err = fmt.Errorf("the gateway has sessions to %v", up)
		}
		return err
	})
}

// shared asks at the address that all nodes have, and is sent on.
func (p *farm) shared(ctx context.Context) error {
	north := p.customers[0]
	cfg := p.as(north.cert, farmShared, "gateway")
	cfg.CUID = north.cuid
	a, err := p.enter(ctx, north.name, cfg)
	if err != nil {
		return err
	}
	resp, err := p.request(ctx, a, prefixTarget(north.prefix))
	switch {
	case err != nil:
		return err
	case resp.Code != dots.CodeUnavailable || !resp.Redirect.Set || !slices.Equal(resp.Redirect.Value.Records, []string{"127.0.0.1"}):
		return fmt.Errorf("answered %v %+v, want a redirect to 127.0.0.1", resp.Code, resp.Redirect)
	}
	p.tell(north.name, fmt.Sprintf("asks at the common address 127.0.0.2: 5.03, sent on to %s at %s", resp.Redirect.Value.Server, resp.Redirect.Value.Records[0]))
	return nil
}

// spread lets every customer ask, and finds out where its request went.
func (p *farm) spread(ctx context.Context) error {
	used := map[string]bool{}
	for _, c := range p.customers {
		cfg := p.as(c.cert, farmAddress, "gateway")
		cfg.CUID = c.cuid
		var err error
		if c.actor, err = p.enter(ctx, c.name, cfg); err != nil {
			return err
		}
		if c.mid, err = p.asks(ctx, c.actor, prefixTarget(c.prefix)); err != nil {
			return err
		}
		if err := p.found(ctx, c, nil); err != nil {
			return err
		}
		used[c.server] = true
		p.tell(c.server, fmt.Sprintf("is asked for %s by cdid %s, cuid %s", c.prefix, c.put.CDID, c.put.CUID))
		if !p.proper(c) {
			return fmt.Errorf("the request for %s has path %s, cdid %q, cuid %q", c.name, c.put.Path, c.put.CDID, c.put.CUID)
		}
	}
	if len(used) != len(p.alive) {
		return fmt.Errorf("the customers are at %v, want one at each server", slices.Sorted(maps.Keys(used)))
	}
	for _, c := range p.customers {
		if err := p.mitigated(ctx, c.actor, c.mid, prefixTarget(c.prefix)); err != nil {
			return err
		}
	}
	return nil
}

// proper checks who is told to be asking: a cdid of the customer's own, before a cuid that is ours.
//
// RFC 9132, Section 4.4.1.2: the cdid comes before the cuid.
func (p *farm) proper(c *customer) bool {
	cdid, cuid := strings.Index(c.put.Path, "cdid="), strings.Index(c.put.Path, "cuid=")
	for _, other := range p.customers {
		if other != c && (other.put.CDID == c.put.CDID || other.put.CUID == c.put.CUID) {
			return false
		}
	}
	return cdid > 0 && cdid < cuid && c.put.CDID != "" && c.put.CUID != c.cuid
}

// found waits for a customer's request at one of the servers that live, after the one that was seen before.
func (p *farm) found(ctx context.Context, c *customer, before *Entry) error {
	return p.until(ctx, func() error {
		for name := range p.alive {
			list, err := p.entries(name)
			if err != nil {
				return err
			}
			for _, e := range list {
				if isPut(e, c.prefix) && (before == nil || name != c.server && e.Time.After(before.Time)) {
					c.put, c.server = e, name
					return nil
				}
			}
		}
		return fmt.Errorf("no other server is asked for %s", c.prefix)
	})
}

// moved waits until the customers of a server are at others, and checks that they are told so, and that the others stay where
// they were.
func (p *farm) moved(ctx context.Context, from string) error {
	for _, c := range p.customers {
		if c.server != from {
			continue
		}
		cdid, before := c.put.CDID, c.put
		if err := p.found(ctx, c, &before); err != nil {
			return err
		}
		if c.put.CDID != cdid {
			return fmt.Errorf("%s has cdid %s at %s, and had %s", c.name, c.put.CDID, c.server, cdid)
		}
		p.tell(c.server, fmt.Sprintf("is asked for %s, of the same customer", c.prefix))
	}
	for _, c := range p.customers {
		if err := p.mitigated(ctx, c.actor, c.mid, prefixTarget(c.prefix)); err != nil {
			return err
		}
		list, err := p.entries(c.server)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(list, func(e Entry) bool { return isDelete(e, c.put) }) {
			return fmt.Errorf("%s was withdrawn at %s, where it should have stayed", c.name, c.server)
		}
	}
	return nil
}

// death kills a server: its customers go to the others.
func (p *farm) death(ctx context.Context) error {
	dead := p.customers[0].server
	if err := p.kill(dead); err != nil {
		return err
	}
	delete(p.alive, dead)
	p.tell("lab", "killed "+dead)
	return p.moved(ctx, dead)
}

// drain takes a server out of service by command: its customers are asked for elsewhere first, and withdrawn then.
func (p *farm) drain(ctx context.Context) error {
	leaving := p.customers[1].server
	before := map[*customer]Entry{}
	for _, c := range p.customers {
		if c.server == leaving {
			before[c] = c.put
		}
	}
	uplink := "farm/s" + strings.TrimPrefix(leaving, "server")
	if _, err := p.operator(ctx, farmConfig, "drain", uplink); err != nil {
		return err
	}
	p.tell("operator", "drains "+uplink)
	if err := p.moved(ctx, leaving); err != nil {
		return err
	}
	for c, put := range before {
		gone, err := p.logged(ctx, leaving, func(e Entry) bool { return isDelete(e, put) })
		if err != nil {
			return fmt.Errorf("%s is not withdrawn at %s: %w", c.name, leaving, err)
		}
		if gone.Time.Before(c.put.Time) {
			return fmt.Errorf("%s was withdrawn at %s before it was asked for at %s", c.name, leaving, c.server)
		}
		p.tell(leaving, fmt.Sprintf("gets the withdrawal of mid %d, after %s was asked: 2.02", *gone.MID, c.server))
	}
	return nil
}

func (p *farm) end(ctx context.Context) error {
	for _, c := range p.customers {
		if err := p.withdraws(ctx, c.actor, c.mid); err != nil {
			return err
		}
	}
	for _, c := range p.customers {
		if _, err := p.logged(ctx, c.server, func(e Entry) bool { return isDelete(e, c.put) }); err != nil {
			return err
		}
		for name, address := range p.alive {
			list, err := p.standing(ctx, p.as("gateway", address, name), c.put.CUID)
			if err = errors.Join(err, remaining(list)); err != nil {
				return fmt.Errorf("at %s: %w", name, err)
			}
		}
	}
	p.tell("lab", "nothing is left at the servers that live")
	if err := p.nothingAt(ctx, farmConfig); err != nil {
		return err
	}
	p.tell("operator", "sees nothing any more: the servers have told that the active-but-terminating period is over")
	return nil
}

// remaining is the error that something is left.
func remaining(list []dots.Report) error {
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("%d mitigations are left, such as mid %d for %s", len(list), list[0].MID, targetText(list[0].Target))
}
