package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/policy"
)

// resolveWithin is how long an explanation waits for names.
const resolveWithin = 5 * time.Second

// Explain tells what would become of a request with a gateway of this configuration that holds nothing yet and whose uplinks are all up. Names are looked
// up as the configuration says. Its error says what cannot be asked.
func Explain(ctx context.Context, cfg *config.Config, q admin.Question) (admin.Explanation, error) {
	ask, err := askOf(q)
	if err != nil {
		return admin.Explanation{}, err
	}
	r, err := newResolver(cfg.DNS)
	if err != nil {
		return admin.Explanation{}, err
	}
	ask.Request.MID = max(ask.Request.MID, 1)
	v := idle{}
	e := cfg.Policy.Explain(v, nil, ask)
	var failed []admin.Step
	if len(e.Verdict.Questions) > 0 {
		failed = v.lookUp(ctx, r, e.Verdict.Questions)
		e = cfg.Policy.Explain(v, nil, ask)
	}
	shown := showExplanation(e)
	shown.Steps = append(failed, shown.Steps...)
	return shown, nil
}

// Explain tells the operator what would become of a request now.
func (a *App) Explain(ctx context.Context, q admin.Question) (admin.Explanation, error) {
	ask, err := askOf(q)
	if err != nil {
		return admin.Explanation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	e, err := a.gateway.Explain(ctx, ask)
	if err != nil {
		return admin.Explanation{}, err
	}
	return showExplanation(e), nil
}

// idle is the state of a gateway that holds nothing but addresses of names.
type idle map[string]policy.Resolution

// lookUp resolves names, and says why it could not: here the resolver may be out of reach that the gateway has.
func (v idle) lookUp(ctx context.Context, r *resolve.Resolver, names []string) (failed []admin.Step) {
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	for _, n := range names {
		a, err := r.Lookup(ctx, n)
		v[n] = policy.Resolution{Addresses: a.Addresses, Failed: err != nil}
		if err != nil {
			failed = append(failed, admin.Step{Rule: "resolution", Subject: n, Result: policy.ResultNote, Detail: err.Error()})
		}
	}
	return failed
}

// Resolved returns what was looked up.
func (v idle) Resolved(name string) (policy.Resolution, bool) {
	r, ok := v[name]
	return r, ok
}

// Mitigations counts none.
func (idle) Mitigations(dots.Client) int { return 0 }

// CUIDs counts none.
func (idle) CUIDs(string) int { return 0 }

// Overlaps finds none.
func (idle) Overlaps(string, policy.Expanded) []policy.Overlap { return nil }

// askOf turns an operator's question into what policy is asked. A question without a cuid is asked under one that nobody has.
func askOf(q admin.Question) (policy.Ask, error) {
	cuid := q.CUID
	if cuid == "" {
		cuid = dots.EncodeCUID(sha256.Sum256([]byte("explain " + q.Client)))
	}
	lifetime := dots.Lifetime(q.Lifetime)
	if !lifetime.Valid() {
		return policy.Ask{}, fmt.Errorf("%d is no lifetime: use seconds from 1 on, or -1", q.Lifetime)
	}
	a := policy.Ask{Client: dots.Client{Name: q.Client, CUID: cuid}, OwnCUID: cuid, Request: dots.Request{
		MID: q.MID, Lifetime: dots.Some(lifetime), OnSignalLoss: q.OnSignalLoss,
		Target: dots.Target{FQDNs: q.FQDNs, URIs: q.URIs, Aliases: q.Aliases},
	}}
	var errs []error
	t := &a.Request.Target
	for _, text := range q.Prefixes {
		p, err := prefixOf(text)
		t.Prefixes, errs = append(t.Prefixes, p), append(errs, err)
	}
	for _, text := range q.Ports {
		r, ok := config.PortRange(text)
		if !ok {
			errs = append(errs, fmt.Errorf("%q is no port: use 443 or 8000-8080", text))
		}
		t.Ports = append(t.Ports, r)
	}
	for _, n := range q.Protocols {
		if n < 0 || n > math.MaxUint8 {
			errs = append(errs, fmt.Errorf("%d is no protocol: use 0 to 255", n))
		}
		t.Protocols = append(t.Protocols, uint8(n)) // checked in the line above
	}
	return a, errors.Join(errs...)
}

// prefixOf reads a prefix, or an address for the prefix of it alone.
func prefixOf(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no prefix: use ADDRESS/LENGTH", text)
	}
	return p, nil
}

// showExplanation turns an explanation into the operator's words.
func showExplanation(e policy.Explanation) admin.Explanation {
	s := admin.Explanation{Steps: make([]admin.Step, len(e.Steps))}
	for i, step := range e.Steps {
		s.Steps[i] = admin.Step{Rule: step.Rule, Subject: step.Subject, Result: step.Result, Detail: step.Detail}
	}
	switch v := e.Verdict; {
	case v.Deny != nil:
		s.Code, s.Text = v.Deny.Code.String(), v.Deny.Text
	case len(v.Questions) > 0:
		s.Code, s.Text = dots.CodeUnavailable.String(), "not decided before these names are resolved: "+strings.Join(v.Questions, ", ")
	default:
		s.Allowed, s.Code = true, dots.CodeCreated.String()
		if v.Grant.Refresh {
			s.Code = dots.CodeChanged.String()
		}
		if v.Consult {
			s.Text = "if the AAA server allows it"
		}
	}
	return s
}
