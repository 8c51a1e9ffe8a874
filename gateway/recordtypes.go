package gateway

import (
	"net/netip"
	"slices"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// mitigationRecord is a live mitigation on disk. A withdrawn or ended one has no record. What is empty is left out, since most is.
type mitigationRecord struct {
	Client   dots.Client
	MID      uint32
	Asked    requestRecord
	Grant    grantRecord
	HopLimit uint8
	Lifetime dots.Lifetime
	Expires  int64         `json:",omitempty"` // seconds since the epoch; 0: indefinite
	Start    uint64        `json:",omitempty"`
	Refused  []string      `json:",omitempty"` // uplinks
	OwnCDID  string        `json:",omitempty"`
	Fired    bool          `json:",omitempty"`
	Period   time.Duration // active-but-terminating period
	Recursed bool          `json:",omitempty"`
	To       string        `json:",omitempty"`
	ByHand   bool          `json:",omitempty"`
}

// grantRecord is what a grant holds beyond the mitigation's own fields.
type grantRecord struct {
	Domain                  string
	Request                 *requestRecord    `json:",omitempty"` // nil: as asked, but for the lifetime
	Expanded                policy.Expanded   `json:",omitzero"`
	Outside                 *policy.Footprint `json:",omitempty"` // nil: the request's target and Expanded
	Supersedes, Deactivates []uint32          `json:",omitempty"`
	Watch                   []string          `json:",omitempty"`
}

// requestRecord is a request without its mid, which is in the key, and its attack-status, which is not kept.
type requestRecord struct {
	Prefixes     []netip.Prefix    `json:",omitempty"`
	Ports        []dots.PortRange  `json:",omitempty"`
	Protocols    []uint8           `json:",omitempty"`
	FQDNs        []string          `json:",omitempty"`
	URIs         []string          `json:",omitempty"`
	Aliases      []string          `json:",omitempty"`
	Lifetime     *dots.Lifetime    `json:",omitempty"`
	OnSignalLoss bool              `json:",omitempty"`
	ACLs         []dots.ACLControl `json:",omitempty"`
	Source       *dots.Source      `json:",omitempty"`
	Optional     []dots.Raw        `json:",omitempty"`
}

// legRecord is a leg that stands, may stand or is to be withdrawn.
type legRecord struct {
	Members  []dots.MitigationKey // when it was written: they are found anew at a start
	Request  requestRecord
	Expanded *policy.Expanded `json:",omitempty"` // nil: the request's prefixes
	HopLimit uint8
	CDID     string        `json:",omitempty"`
	Withdraw bool          `json:",omitempty"`
	Expires  int64         `json:",omitempty"` // seconds since the epoch, of a withdrawn one
	Replaces []dots.LegKey `json:",omitempty"`
	After    dots.LegKey   `json:",omitzero"`
}

// cuidRecord binds a downstream cuid to a client entry.
type cuidRecord struct {
	Client string
	Proven bool `json:",omitempty"` // the client's own credential gives it
}

// ownRecord is a cuid of the gateway at an uplink.
type ownRecord struct {
	Placement policy.Placement
	CUID      string
}

// drainRecord says that the uplink in its key drains.
type drainRecord struct{}

// spanRecord is how long the client in its key may be silent before it is lost.
type spanRecord struct{ Seconds int64 }

// counterRecord is the end of the reserved mids of a scope.
type counterRecord struct{ Reserved uint32 }

func recordRequest(r dots.Request) requestRecord {
	t := r.Target
	rec := requestRecord{
		Prefixes: t.Prefixes, Ports: t.Ports, Protocols: t.Protocols, FQDNs: t.FQDNs, URIs: t.URIs, Aliases: t.Aliases,
		OnSignalLoss: r.OnSignalLoss, ACLs: r.ACLs, Optional: r.Optional,
	}
	if r.Lifetime.Set {
		lifetime := r.Lifetime.Value // of its own: r would be made to last as long as the record
		rec.Lifetime = &lifetime
	}
	if s := r.Source; len(s.Prefixes)+len(s.Ports)+len(s.ICMPTypes) > 0 {
		rec.Source = &s
	}
	return rec
}

func (rec requestRecord) request(mid uint32) dots.Request {
	r := dots.Request{
		MID: mid, OnSignalLoss: rec.OnSignalLoss, ACLs: rec.ACLs, Optional: rec.Optional,
		Target: dots.Target{
			Prefixes: rec.Prefixes, Ports: rec.Ports, Protocols: rec.Protocols, FQDNs: rec.FQDNs, URIs: rec.URIs, Aliases: rec.Aliases,
		},
	}
	if rec.Lifetime != nil {
		r.Lifetime = dots.Some(*rec.Lifetime)
	}
	if rec.Source != nil {
		r.Source = *rec.Source
	}
	return r
}

// recordGrant writes the granted request down only where it is not what was asked for.
func recordGrant(g policy.Grant, asked dots.Request) grantRecord {
	rec := grantRecord{
		Domain: g.Domain, Expanded: g.Expanded, Supersedes: g.Supersedes, Deactivates: g.Deactivates,
		Watch: g.Watch,
	}
	if !sameRequest(g.Request, asked) || len(g.Request.Optional) != len(asked.Optional) {
		r := recordRequest(g.Request)
		rec.Request = &r
	}
	if !g.Outside.Target.Equal(g.Request.Target) || !slices.Equal(g.Outside.Expanded.Prefixes, g.Expanded.Prefixes) {
		outside := g.Outside
		rec.Outside = &outside
	}
	return rec
}

func (rec grantRecord) grant(m *mitigation) policy.Grant {
	g := policy.Grant{
		Domain: rec.Domain, Client: m.key.Client, Request: m.asked, Expanded: rec.Expanded,
		Supersedes: rec.Supersedes, Deactivates: rec.Deactivates, Watch: rec.Watch,
	}
	if rec.Request != nil {
		g.Request = rec.Request.request(m.key.MID)
	}
	g.Request.Lifetime = dots.Some(m.lifetime)
	g.Outside = policy.Footprint{Target: g.Request.Target, Expanded: g.Expanded}
	if rec.Outside != nil {
		g.Outside = *rec.Outside
	}
	return g
}
