//go:build interop

package interop

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/lab"
)

// A foreign client asks for mitigations, looks at them and withdraws one. RFC 9132, Section 4.4.
func TestInteropMitigation(t *testing.T) {
	eachClient(t, setup{scenario: steps()}, func(t *testing.T, c *client) {
		// RFC 9132, Section 4.4.1.3: 2.01 with the mid and the granted lifetime.
		answer := c.put(7, asking(t, "192.0.2.1/32")).expect(t, "PUT as CON", "2.01")
		if list := entries(answer.payload); len(list) != 1 || number(list[0], keyMID) != 7 || number(list[0], keyLifetime) != 3600 {
			t.Errorf("PUT as CON: the body is %v; want mid 7 and lifetime 3600", list)
		}
		c.put(7, asking(t, "192.0.2.1/32")).expect(t, "refresh", "2.04")
		// RFC 7252, Section 5.2.3: a NON request is answered with a NON. Over TCP there are no types.
		answer = c.put(8, asking(t, "198.51.100.0/25"), "-N").expect(t, "PUT as NON", "2.01")
		if want := "NON"; !c.overTCP() && answer.kind != want {
			t.Errorf("PUT as NON: answered with %s; want %s", answer.kind, want)
		}
		got := c.get(7, "-A", "271").expect(t, "GET of one", "2.05")
		if list := entries(got.payload); len(list) != 1 || number(list[0], keyMID) != 7 {
			t.Errorf("GET of one: %v; want mid 7", list)
		}
		got = c.ask("mitigate/cuid="+cuid).expect(t, "GET of all", "2.05")
		var mids []int
		for _, e := range entries(got.payload) {
			mids = append(mids, number(e, keyMID))
		}
		slices.Sort(mids)
		if !slices.Equal(mids, []int{7, 8}) {
			t.Errorf("GET of all: mids %v; want 7 and 8", mids)
		}
		c.get(9).expect(t, "GET of none", "4.04")
		c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=8", cuid), "-m", "delete").expect(t, "DELETE", "2.02")
		// RFC 9132, Section 4.4.4: 2.02 for what is not there as well.
		c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=9", cuid), "-m", "delete").expect(t, "DELETE of none", "2.02")

		c.r.upstream("the first mitigation", isPut("192.0.2.1/32"))
		second := c.r.upstream("the second mitigation", isPut("198.51.100.0/25"))
		c.r.upstream("its withdrawal", func(e lab.Entry) bool { return e.Op == "delete mitigation" && *e.MID == *second.MID })
		c.r.checkHidden(cuid)
	})
}

// A foreign client observes a mitigation from its begin to its end. RFC 9132, Section 4.4.2.1 and Section 4.4.4.
func TestInteropObserve(t *testing.T) {
	scenario := lab.Scenario{Steps: []lab.Step{
		{Status: dots.StatusInProgress}, {After: 4 * time.Second, Status: dots.StatusMitigated},
	}}
	eachClient(t, setup{scenario: scenario}, func(t *testing.T, c *client) {
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
		p := c.observer(1)
		c.r.await(p, "status 1", once(func(m message) bool { return m.status() == 1 }))
		notice := c.r.await(p, "status 2", once(func(m message) bool { return m.status() == 2 }))
		if !strings.Contains(notice.options, "Observe:") {
			t.Errorf("notification: %v; want an Observe option", notice)
		}
		c.get(1).expect(t, "GET from another session", "2.05")
		c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=1", cuid), "-m", "delete").expect(t, "DELETE", "2.02")
		c.r.await(p, "status 5", once(func(m message) bool { return m.status() == 5 }))
		c.r.await(p, "status 6", once(func(m message) bool { return m.status() == 6 }))
		c.r.await(p, "its end", once(func(m message) bool { return m.text == "no such mitigation" }))
		var order []int
		lines, _ := p.snapshot()
		for _, m := range parse(lines) {
			if s := m.status(); s != 0 {
				order = append(order, s)
			}
		}
		if order = slices.Compact(order); !slices.Equal(order, []int{1, 2, 5, 6}) {
			t.Errorf("statuses %v; want 1, 2, 5, 6", order)
		}
		c.get(1).expect(t, "GET afterwards", "4.04")
		c.r.checkHidden(cuid)
	})
}

// A body in blocks is whole when it arrives upstream, and comes back in blocks. libcoap takes a new token for each block.
// RFC 7959, Section 2.5 and Section 2.4; RFC 9175, Section 3.
func TestInteropBlocks(t *testing.T) {
	eachClient(t, setup{scenario: steps()}, func(t *testing.T, c *client) {
		for i, n := range []int{20, 70, 200} {
			mid, want := i+1, hosts(n)
			messages := c.run(fmt.Sprintf("mitigate/cuid=%s/mid=%d", cuid, mid), c.withBody(asking(t, want...), "-b", "128")...)
			final(messages).expect(t, fmt.Sprintf("PUT of %d prefixes", n), "2.01")
			if k := count(messages, "2.31"); k < n*15/128-1 {
				t.Errorf("%d prefixes went in %d blocks", n, k+1)
			}
			slices.Sort(want)
			got := map[string]bool{} // in several requests, where one datagram is too small
			c.r.upstream(fmt.Sprintf("%d prefixes", n), func(e lab.Entry) bool {
				if e.Body != nil {
					for _, p := range e.Body.Prefixes {
						got[p] = true
					}
				}
				return len(got) >= n
			})
			if all := slices.Sorted(maps.Keys(got)); !slices.Equal(all, want) {
				t.Errorf("upstream saw %v; want %v", all, want)
			}
			c.checkBlock2(mid, want)
		}
		// RFC 7959, Section 2.9.3: 4.13 for a body that is larger than we take.
		answer := c.put(9, asking(t, manyHosts(900)...)).expect(t, "PUT of a body above 16384 bytes", "4.13")
		if !strings.Contains(answer.text, "16384") {
			t.Errorf("PUT of a body above 16384 bytes: the diagnostic is %q; want the limit", answer.text)
		}
		c.r.checkHidden(cuid)
	})
}

// checkBlock2 reads a mitigation in small blocks and compares its targets.
func (c *client) checkBlock2(mid int, want []string) {
	c.r.t.Helper()
	messages := c.run(fmt.Sprintf("mitigate/cuid=%s/mid=%d", cuid, mid), "-b", "64")
	final(messages).expect(c.r.t, "GET in blocks", "2.05")
	if n := count(messages, "2.05"); n < 2 {
		c.r.t.Errorf("GET in blocks: %d answers; want more", n)
	}
	body, err := os.ReadFile(c.out())
	if err != nil {
		c.r.t.Fatal(err)
	}
	list := entries(body)
	if len(list) != 1 {
		c.r.t.Fatalf("GET in blocks: the body is %x", body)
	}
	var got []string
	prefixes, _ := list[0][uint64(keyTargetPrefix)].([]any)
	for _, p := range prefixes {
		got = append(got, p.(string))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.r.t.Errorf("GET in blocks: prefixes %v; want %v", got, want)
	}
}

// count counts the messages with a code.
func count(list []message, code string) int {
	n := 0
	for _, m := range list {
		if m.code == code {
			n++
		}
	}
	return n
}
