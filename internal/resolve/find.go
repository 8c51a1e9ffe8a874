package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
)

const (
	// maxChain is how many aliases are followed before a chain counts as a loop.
	maxChain = 8

	// maxAddresses is how many addresses a name may have: nobody shall fill our memory with a zone.
	maxAddresses = 256
)

// found is what one chain of queries for one type has brought.
type found struct {
	addresses []netip.Addr // none: the name or the type does not exist
	ttl       time.Duration
}

// find asks for both types and puts the findings together; it fails when one of them fails.
func (r *Resolver) find(ctx context.Context, name string) (entry, error) {
	var v4, v6 found
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { v4, err = r.follow(groupCtx, name, dns.TypeA); return err })
	group.Go(func() (err error) { v6, err = r.follow(groupCtx, name, dns.TypeAAAA); return err })
	if err := group.Wait(); err != nil {
		return entry{}, err
	}
	all := append(v4.addresses, v6.addresses...)
	if len(all) > maxAddresses {
		return entry{}, fmt.Errorf("%w: %d addresses, at most %d", ErrFailed, len(all), maxAddresses)
	}
	ttl := min(max(min(v4.ttl, v6.ttl), r.cfg.MinTTL), r.cfg.MaxTTL)
	e := entry{addresses: sorted(all), until: r.cfg.Now().Add(ttl)}
	if len(all) == 0 {
		e.err = fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return e, nil
}

// follow asks for one type until the chain of aliases ends.
func (r *Resolver) follow(ctx context.Context, name string, qtype uint16) (found, error) {
	c := chain{name: dns.Fqdn(name), qtype: qtype, ttl: r.cfg.MaxTTL}
	for {
		reply, err := r.ask.exchange(ctx, c.name, qtype)
		if err != nil {
			return found{}, err
		}
		// RFC 6840, Section 5.8: the AD bit says that the server has validated the whole answer.
		if r.cfg.RequireAD && !reply.AuthenticatedData {
			return found{}, fmt.Errorf("%w: %s", ErrInsecure, c.name)
		}
		before := c.length
		addresses, err := c.read(reply)
		if err != nil {
			return found{}, err
		}
		if len(addresses) > 0 || c.length == before || reply.Rcode == dns.RcodeNameError {
			if len(addresses) == 0 {
				c.lower(negativeTTL(reply))
			}
			return found{addresses: addresses, ttl: c.ttl}, nil
		}
	}
}

// chain is a walk along aliases: where it is, how long it is, and the least time to live on the way.
type chain struct {
	name   string
	qtype  uint16
	length int
	ttl    time.Duration
}

// read walks along the aliases of one reply and returns the addresses at the end, if they are in the reply. Records of
// other names are no part of the answer, whatever they claim.
func (c *chain) read(reply *dns.Msg) ([]netip.Addr, error) {
	for {
		target := ""
		var addresses []netip.Addr
		for _, rr := range reply.Answer {
			if !strings.EqualFold(rr.Header().Name, c.name) || rr.Header().Class != dns.ClassINET {
				continue
			}
			if alias, ok := rr.(*dns.CNAME); ok {
				target = alias.Target
				c.lower(seconds(rr.Header().Ttl))
			}
			if a, ok := address(rr, c.qtype); ok {
				addresses = append(addresses, a)
				c.lower(seconds(rr.Header().Ttl))
			}
		}
		if len(addresses) > 0 || target == "" {
			return addresses, nil
		}
		if c.length++; c.length > maxChain {
			return nil, fmt.Errorf("%w: more than %d aliases", ErrFailed, maxChain)
		}
		c.name = target
	}
}

func (c *chain) lower(ttl time.Duration) { c.ttl = min(c.ttl, ttl) }

func address(rr dns.RR, qtype uint16) (netip.Addr, bool) {
	var a netip.Addr
	ok := false
	switch rr := rr.(type) {
	case *dns.A:
		a, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		a, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return a.Unmap(), ok && rr.Header().Rrtype == qtype
}

// negativeTTL returns how long "not found" holds; 0 when the reply does not say.
func negativeTTL(reply *dns.Msg) time.Duration {
	// RFC 2308, Section 5: the lesser of the SOA's minimum and its own time to live.
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return seconds(min(soa.Minttl, soa.Hdr.Ttl))
		}
	}
	return 0
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }
