package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
	"github.com/dotsgate/dotsgate/wire"
)

// Deployments are the names of the stories that Demo can play.
func Deployments() []string { return []string{"cpe", "provider", "federation"} }

// storyPatience is how long each scene of a story may take: on an idle machine none takes a quarter of it.
const storyPatience = time.Minute

// story is the play of a deployment.
type story struct {
	*site
	teller
	actors []*actor
	last   uint32 // the mid that was used last
}

// scene is a part of a story.
type scene struct {
	name string
	play func(context.Context) error
}

// tellStory plays a deployment. cfg.Dir is there.
func tellStory(ctx context.Context, cfg StageConfig, to io.Writer) (err error) {
	tell := map[string]func(*story) []scene{"cpe": cpeStory, "provider": providerStory, "federation": federationStory}[cfg.Deployment]
	if tell == nil {
		return fmt.Errorf("%w: unknown deployment %q: %s", errUsage, cfg.Deployment, strings.Join(Deployments(), ", "))
	}
	at, err := newSite(cfg)
	if err != nil {
		return err
	}
	s := &story{site: at, teller: teller{to: to, began: time.Now()}, last: demoMID - 1}
	err = s.play(ctx, tell(s))
	if err != nil {
		for _, c := range s.children {
			err = fmt.Errorf("%w\nthe last that %s said:\n%s", err, c.name, c.tail())
		}
	}
	for _, a := range s.actors {
		a.leave()
	}
	stopped := s.stop()
	if err == nil && stopped == nil {
		s.tell("lab", "all programs ended when they were told to")
	}
	return errors.Join(err, stopped)
}

// play plays the scenes, each within its time.
func (s *story) play(ctx context.Context, scenes []scene) error {
	for _, sc := range scenes {
		ctx, cancel := context.WithTimeout(ctx, storyPatience)
		err := sc.play(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return nil
}

// actor is a client with a session, until it leaves.
type actor struct {
	*ctl.Conn
	name  string
	leave func()
}

// enter makes a session for a client.
func (s *story) enter(ctx context.Context, name string, cfg ctl.Config) (*actor, error) {
	living, cancel := context.WithCancel(context.WithoutCancel(ctx))
	there, over := make(chan *ctl.Conn, 1), make(chan struct{})
	var failed error // once over is closed
	leave := func() { cancel(); <-over }
	go func() {
		defer close(over)
		failed = ctl.Open(living, cfg, storyPatience, func(ctx context.Context, c *ctl.Conn) error {
			there <- c
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case c := <-there:
		a := &actor{Conn: c, name: name, leave: leave}
		s.actors = append(s.actors, a)
		return a, nil
	case <-over:
		cancel()
		return nil, fmt.Errorf("%s has no session: %w", name, failed)
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("%s has no session: %w", name, ctx.Err())
	}
}

// until tries again and again, as long as all processes live.
func (s *story) until(ctx context.Context, try func() error) error {
	return whileAlive(ctx, s.children, func(context.Context) error { return try() })
}

// request asks for something under a number of its own.
func (s *story) request(ctx context.Context, a *actor, t dots.Target) (wire.Response, error) {
	s.last++
	return a.Mitigate(ctx, dots.Request{MID: s.last, Target: t, Lifetime: dots.Some[dots.Lifetime](600)})
}

// asks asks for something that must be granted, and returns its number.
func (s *story) asks(ctx context.Context, a *actor, t dots.Target) (uint32, error) {
	resp, err := s.request(ctx, a, t)
	if err != nil {
		return 0, fmt.Errorf("%s asks for %s: %w", a.name, targetText(t), err)
	}
	if resp.Code != dots.CodeCreated {
		return 0, fmt.Errorf("%s asks for %s: answered %v, want 2.01: %w", a.name, targetText(t), resp.Code, ctl.Failure(resp))
	}
	s.tell(a.name, fmt.Sprintf("asks for %s as mid %d: 2.01, lifetime %d s", targetText(t), s.last, resp.Granted.Value.Lifetime))
	return s.last, nil
}

// withdraws ends what a client has asked for.
func (s *story) withdraws(ctx context.Context, a *actor, mid uint32) error {
	resp, err := a.Withdraw(ctx, mid)
	if err != nil {
		return fmt.Errorf("%s withdraws: %w", a.name, err)
	}
	if resp.Code != dots.CodeDeleted {
		return fmt.Errorf("%s withdraws: answered %v, want 2.02: %w", a.name, resp.Code, ctl.Failure(resp))
	}
	s.tell(a.name, fmt.Sprintf("withdraws mid %d: 2.02", mid))
	return nil
}

// report is what a client is told of one of its mitigations.
func (a *actor) report(ctx context.Context, mid uint32) (dots.Report, error) {
	resp, err := a.Get(ctx, dots.Some(mid))
	switch {
	case err != nil:
		return dots.Report{}, fmt.Errorf("%s asks how mid %d fares: %w", a.name, mid, err)
	case len(resp.Reports) != 1:
		return dots.Report{}, fmt.Errorf("%s asks how mid %d fares: answered %v with %d mitigations", a.name, mid, resp.Code, len(resp.Reports))
	}
	return resp.Reports[0], nil
}

// told waits until a client is told what is wanted of its mitigation.
func (s *story) told(ctx context.Context, a *actor, mid uint32, wanted func(dots.Report) bool) (found dots.Report, err error) {
	err = s.until(ctx, func() error {
		r, err := a.report(ctx, mid)
		if err == nil && !wanted(r) {
			err = fmt.Errorf("%s is told status %d of mid %d, %+v", a.name, r.Status, mid, r.Counters)
		}
		found = r
		return err
	})
	return found, err
}

// mitigated waits until a client is told that it is protected, in the words in which it has asked.
func (s *story) mitigated(ctx context.Context, a *actor, mid uint32, asked dots.Target) error {
	r, err := s.told(ctx, a, mid, func(r dots.Report) bool { return r.Status == dots.StatusMitigated })
	if err != nil {
		return err
	}
	if !r.Target.Equal(asked) {
		return fmt.Errorf("%s has asked for %s and is told of %s", a.name, targetText(asked), targetText(r.Target))
	}
	s.tell(a.name, fmt.Sprintf("is told of %s: status 2, mitigated%s", targetText(r.Target), dropped(r.Counters)))
	return nil
}

// logged waits for an entry of a simulated server's journal.
func (s *story) logged(ctx context.Context, server string, is func(Entry) bool) (found Entry, err error) {
	err = s.until(ctx, func() error {
		list, err := s.entries(server)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, is)
		if i < 0 {
			return fmt.Errorf("none of the %d entries of %s's journal is what is looked for", len(list), server)
		}
		found = list[i]
		return nil
	})
	return found, err
}

// isPut reports whether an entry asked for just these prefixes, and was granted.
func isPut(e Entry, prefixes ...string) bool {
	return e.Op == "put mitigation" && (e.Answer == "2.01" || e.Answer == "2.04") && e.Body != nil && e.MID != nil && samePrefixes(e.Body.Prefixes, prefixes)
}

// samePrefixes compares two lists as sets.
func samePrefixes(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// isDelete reports whether an entry withdrew what another one has asked for.
func isDelete(e, put Entry) bool {
	return e.Op == "delete mitigation" && e.Answer == "2.02" && e.CUID == put.CUID && e.MID != nil && *e.MID == *put.MID
}

// standing asks a simulated server, in the gateway's place, what stands there under a cuid: neither withdrawn nor ended.
func (s *story) standing(ctx context.Context, above ctl.Config, cuid string) (list []dots.Report, err error) {
	above.CUID = cuid
	err = ctl.Open(ctx, above, storyPatience, func(ctx context.Context, c *ctl.Conn) error {
		resp, err := c.Get(ctx, dots.Maybe[uint32]{})
		if err == nil && resp.Code != dots.CodeNotFound {
			err = ctl.Failure(resp)
		}
		list = slices.DeleteFunc(resp.Reports, func(r dots.Report) bool {
			return r.Status == dots.StatusClientWithdrawn || r.Status == dots.StatusTerminated
		})
		return err
	})
	return list, err
}

// operatorsLeg is what `dotsgate mitigations -o json` shows of a leg.
type operatorsLeg struct {
	Uplink string `json:"uplink"`
	State  string `json:"state"`
	Status string `json:"status"`
}

// operatorsView is what it shows of a mitigation.
type operatorsView struct {
	Client   string         `json:"client"`
	MID      uint32         `json:"mid"`
	Targets  []string       `json:"targets"`
	Status   string         `json:"status"`
	Lifetime int64          `json:"lifetime"`
	Recursed bool           `json:"recursed"`
	Legs     []operatorsLeg `json:"legs"`
}

// mitigations are those that a gateway's operator sees, without those that are over.
func (s *story) mitigations(ctx context.Context, config string) ([]operatorsView, error) {
	out, err := s.operator(ctx, config, "mitigations", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []operatorsView
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading the operator's view: %w", err)
	}
	return slices.DeleteFunc(list, func(v operatorsView) bool {
		over := v.Status == dots.StatusTerminated.String() || v.Status == dots.StatusWithdrawn.String()
		return over && len(v.Legs) == 0
	}), nil
}

// uplinksUp are the uplinks to which a gateway has sessions, as its operator sees.
func (s *story) uplinksUp(ctx context.Context, config string) (names []string, err error) {
	out, err := s.operator(ctx, config, "uplinks", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []struct {
		Name string `json:"name"`
		Up   bool   `json:"up"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading the operator's view: %w", err)
	}
	for _, u := range list {
		if u.Up {
			names = append(names, u.Name)
		}
	}
	return names, nil
}

// nothingAt waits until the operator of a gateway sees no mitigation any more that is not over.
func (s *story) nothingAt(ctx context.Context, config string) error {
	return s.until(ctx, func() error {
		list, err := s.mitigations(ctx, config)
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("the operator of %s still sees %+v", config, list)
		}
		return err
	})
}

// targetText is a target as it is told.
func targetText(t dots.Target) string {
	var words []string
	for _, p := range t.Prefixes {
		words = append(words, p.String())
	}
	words = append(append(words, t.FQDNs...), t.URIs...)
	return strings.Join(words, " ")
}

// prefixTarget is a target of prefixes.
func prefixTarget(list ...string) (t dots.Target) {
	for _, p := range list {
		t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(p))
	}
	return t
}
