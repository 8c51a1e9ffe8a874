//go:build interop

package interop

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/lab"
)

// Options of a foreign client: Hop-Limit, If-Match, and ones that nobody knows.
func TestInteropOptions(t *testing.T) {
	eachClient(t, setup{scenario: steps()}, func(t *testing.T, c *client) {
		// RFC 8768, Section 3: 5.08 with the name of who found the loop, and nothing goes on.
		answer := c.put(1, asking(t, "192.0.2.1/32"), "-H", "1").expect(t, "PUT with Hop-Limit 1", "5.08")
		if answer.text != nodeID {
			t.Errorf("PUT with Hop-Limit 1: the diagnostic is %q; want %q", answer.text, nodeID)
		}
		// RFC 7252, Section 5.4.1: an unknown critical option is refused, an unknown elective one is passed over.
		c.put(2, asking(t, "192.0.2.2/32"), "-O", "2049,0x01").expect(t, "PUT with an unknown critical option", "4.02")
		if list, _ := c.r.journal.mitigations(); len(list) != 0 {
			t.Errorf("upstream saw refused requests: %+v", list)
		}
		c.put(3, asking(t, "192.0.2.3/32"), "-H", "5").expect(t, "PUT with Hop-Limit 5", "2.01")
		e := c.r.upstream("the mitigation with Hop-Limit 5", isPut("192.0.2.3/32"))
		// RFC 8768, Section 3: one less at every hop.
		if e.HopLimit == nil || *e.HopLimit != 4 {
			t.Errorf("upstream saw %+v; want Hop-Limit 4", e)
		}
		c.put(4, asking(t, "192.0.2.4/32"), "-O", "2050,0x01").expect(t, "PUT with an unknown elective option", "2.01")
		c.r.upstream("the mitigation with an elective option", isPut("192.0.2.4/32"))
		c.r.checkHidden(cuid)
	})
}

// A foreign client says how well a mitigation works. RFC 9132, Section 4.4.3.
func TestInteropEfficacy(t *testing.T) {
	eachClient(t, setup{scenario: steps()}, func(t *testing.T, c *client) {
		body := scoped(t, map[int]any{keyTargetPrefix: []string{"192.0.2.1/32"}, keyLifetime: 3600, keyAttackStatus: 1})
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
		first := c.r.upstream("the mitigation", isPut("192.0.2.1/32"))
		c.put(1, body, "-O", "1,0x").expect(t, "efficacy update with If-Match", "2.04")
		e := c.r.upstream("the efficacy update", func(e lab.Entry) bool { return e.IfMatch && e.Body != nil && e.Body.Attack == 1 })
		if e.CUID != first.CUID || *e.MID != *first.MID {
			t.Errorf("the efficacy update went to cuid %s and mid %d; want %s and %d", e.CUID, *e.MID, first.CUID, *first.MID)
		}
		c.put(1, body).expect(t, "attack-status without If-Match", "4.00")
		c.r.checkHidden(cuid)
	})
}
