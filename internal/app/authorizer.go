package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/aaa"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/policy"
)

// authorizerPrint differs when the AAA client would be another one; empty: there is to be none.
func authorizerPrint(cfg *config.Config) string {
	c := cfg.AAA
	if c == nil {
		return ""
	}
	var files []string
	if c.Radius != nil {
		files = append(files, c.Radius.SecretFile)
	}
	if c.HTTP != nil {
		files = append(files, c.HTTP.CA, c.HTTP.Cert, c.HTTP.Key)
	}
	return fingerprint(struct {
		AAA  *config.AAA
		Wait any
	}{c, cfg.Mitigation.AnswerWait}, files...)
}

// newAuthorizer makes the AAA client of a configuration; nil: there is to be none.
func (a *App) newAuthorizer(cfg *config.Config) (*aaa.Authorizer, error) {
	c := cfg.AAA
	if c == nil {
		return nil, nil
	}
	made := aaa.Config{
		Fail: aaa.Fail(c.Fail), AllowTTL: c.AllowTTL, DenyTTL: c.DenyTTL, MaxStale: c.MaxStale, CacheSize: c.CacheSize,
		Wait: cfg.Mitigation.AnswerWait * 3 / 4, // the core's patience with a request, and time to answer
	}
	if c.AllowTTL == 0 {
		made.AllowTTL = -1
	}
	if c.DenyTTL == 0 {
		made.DenyTTL = -1
	}
	if r := c.Radius; r != nil {
		made.RADIUS = &aaa.RADIUSConfig{NodeID: cfg.NodeID, Vendor: uint32(r.Vendor), Interval: r.Timeout, Tries: r.Tries, DeadTime: r.DeadTime}
		for _, address := range r.Servers {
			made.RADIUS.Servers = append(made.RADIUS.Servers, aaa.RADIUSServer{Address: address, SecretFile: r.SecretFile})
		}
	}
	if h := c.HTTP; h != nil {
		made.HTTP = &aaa.HTTPConfig{URL: h.URL, CAFile: h.CA, CertFile: h.Cert, KeyFile: h.Key, Timeout: h.Timeout}
	}
	made.Meter = aaaMeter{a.metrics}
	z, err := aaa.New(made)
	if err != nil {
		return nil, fmt.Errorf("making the AAA client: %w", err)
	}
	return z, nil
}

// authorizer answers the core's questions from the AAA client of today.
type authorizer struct{ now func() *aaa.Authorizer }

// Authorize asks the AAA server. Without one the question cannot be answered.
func (z authorizer) Authorize(ctx context.Context, q gateway.Consult) policy.Ruling {
	asked := z.now()
	if asked == nil {
		return policy.Ruling{Failed: true, Reason: "no AAA server is configured"}
	}
	d := asked.Authorize(ctx, question(q))
	return policy.Ruling{Allow: d.Allow, Reason: d.Reason, Failed: d.Failed}
}

// question is what an AAA server is asked about.
func question(q gateway.Consult) aaa.Request {
	t := q.Request.Target
	r := aaa.Request{
		Client: q.Key.Client.Name, CUID: q.Key.Client.CUID, CDID: q.Key.Client.CDID, Domain: q.Domain,
		MID: q.Key.MID, Lifetime: int64(q.Request.Lifetime.Or(dots.DefaultLifetime)),
	}
	for _, p := range t.Prefixes {
		r.Targets = append(r.Targets, p.String())
	}
	r.Targets = slices.Concat(r.Targets, t.FQDNs, t.URIs)
	for _, p := range t.Protocols {
		r.Protocols = append(r.Protocols, strconv.Itoa(int(p)))
	}
	for _, p := range t.Ports {
		r.Ports = append(r.Ports, portWord(p))
	}
	return r
}
