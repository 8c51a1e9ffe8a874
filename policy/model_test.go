package policy

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// model is a small core: it keeps what was granted, in an Index, and does what a Grant says.
type model struct {
	fakeView
	index *Index[dots.MitigationKey]
	live  map[dots.MitigationKey]Grant
	asked map[dots.MitigationKey]dots.Request
}

func (m *model) Mitigations(c dots.Client) int {
	n := 0
	for k := range m.live {
		if k.Client.Name == c.Name {
			n++
		}
	}
	return n
}

func (m *model) Overlaps(domain string, t Expanded) []Overlap {
	var found []Overlap
	for _, k := range m.index.Overlaps(domain, t) {
		g := m.live[k]
		found = append(found, Overlap{Key: k, OnSignalLoss: g.Request.OnSignalLoss, Expanded: g.Expanded, Remaining: 60})
	}
	return found
}

// ask sends a request through policy and takes the grant in.
func (m *model) ask(p *Policy, a Ask) Verdict {
	k := dots.MitigationKey{Client: a.Client, MID: a.Request.MID}
	if held, ok := m.asked[k]; ok {
		a.Held = dots.Some(held)
	}
	v := p.Admit(m, a)
	if v.Deny != nil || len(v.Questions) > 0 || v.Grant.Refresh {
		return v
	}
	for _, mid := range v.Grant.Supersedes {
		m.drop(dots.MitigationKey{Client: a.Client, MID: mid})
	}
	m.live[k], m.asked[k] = v.Grant, a.Request
	m.index.Insert(k, v.Grant.Domain, v.Grant.Expanded)
	return v
}

func (m *model) drop(k dots.MitigationKey) {
	delete(m.live, k)
	delete(m.asked, k)
	m.index.Delete(k)
}

// check tests what must hold of the live mitigations after each step.
func (m *model) check(t *testing.T, step int) {
	t.Helper()
	for k, g := range m.live {
		for l, h := range m.live {
			if k != l && g.Request.OnSignalLoss == h.Request.OnSignalLoss && g.Expanded.Overlaps(h.Expanded) {
				t.Fatalf("step %d: %v and %v are both live on %v and %v", step, k, l, g.Expanded, h.Expanded)
			}
		}
		if n := m.Mitigations(k.Client); n > 6 {
			t.Fatalf("step %d: %s has %d mitigations", step, k.Client.Name, n)
		}
	}
}

// TestLiveMitigationsStayDisjoint plays random requests, refreshes and withdrawals of three clients where no overlap is allowed: whatever the order, no two live
// mitigations of one trigger type overlap, and no quota is passed.
//
// RFC 9132, Section 4.4.1.3: at a server a higher mid deletes an overlapping lower one whole.
func TestLiveMitigationsStayDisjoint(t *testing.T) {
	c := rejecting()
	c.Defaults.MaxMitigations = 6
	p := mustNew(t, c)
	r := rand.New(rand.NewPCG(5, 6))
	m := &model{index: NewIndex(compareKey), live: map[dots.MitigationKey]Grant{}, asked: map[dots.MitigationKey]dots.Request{}}
	codes := map[dots.Code]int{}
	for step := range 5000 {
		a := askPrefix(fmt.Sprintf("198.51.100.%d/%d", r.IntN(256), 26+r.IntN(7)))
		name := []string{"one", "two", "gate"}[r.IntN(3)]
		a.Client = dots.Client{Name: name, CUID: fmt.Sprint(name, r.IntN(2))}
		a.CUIDOwner, a.Request.MID, a.Request.OnSignalLoss = name, uint32(r.IntN(60)), r.IntN(3) == 0
		if r.IntN(5) == 0 {
			m.drop(dots.MitigationKey{Client: a.Client, MID: a.Request.MID})
			continue
		}
		v := m.ask(p, a)
		switch {
		case v.Deny != nil:
			codes[v.Deny.Code]++
		case v.Grant.Refresh:
			codes[dots.CodeChanged]++
		default:
			codes[dots.CodeCreated]++
		}
		m.check(t, step)
	}
	for _, code := range []dots.Code{dots.CodeCreated, dots.CodeBadRequest, dots.CodeConflict, dots.CodeUnavailable} {
		if codes[code] < 50 {
			t.Errorf("%v came %d times only: the test shows little of it", code, codes[code])
		}
	}
}

// A Policy serves several callers at once; the race detector watches.
func TestPolicyIsSafeForConcurrentUse(t *testing.T) {
	p := mustNew(t, house())
	target := dots.Target{FQDNs: []string{"www.example.com"}, Aliases: []string{"web", "mail"}, Ports: []dots.PortRange{{Lower: 1, Upper: 2}}}
	want := p.Admit(&fakeView{names: worldNames()}, ask(target))
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			for range 200 {
				v := &fakeView{names: worldNames()}
				got := p.Admit(v, ask(target))
				if s := diff(want, got); s != "" {
					t.Error(s)
					return
				}
				if _, err := p.Renew(v, got.Grant); err != nil {
					t.Error(err)
					return
				}
				p.Places(allUp{}, Course{Grant: got.Grant})
				p.Identify(dots.Credential{PSKIdentity: "two"})
			}
		})
	}
	done.Wait()
}
