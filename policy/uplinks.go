package policy

import (
	"maps"
	"slices"
)

// uplink is an Uplink made ready.
type uplink struct {
	mode     CUIDMode
	relay    []uint64
	cdid     bool
	local    bool
	provider bool // it assigned prefixes
}

// relays reports whether an optional key travels on to the uplink.
func (u uplink) relays(key uint64) bool { return slices.Contains(u.relay, key) }

// Uplinks returns the names of the uplinks, members of farms and local mitigators among them, sorted. The list is the caller's.
func (p *Policy) Uplinks() []string { return slices.Sorted(maps.Keys(p.uplinks)) }

// CUIDMode says which of our clients share a cuid at an uplink; empty: there is no such uplink.
func (p *Policy) CUIDMode(uplink string) CUIDMode { return p.uplinks[uplink].mode }

// Local reports whether an uplink is a local mitigator, whose legs stay until the active-but-terminating period ends.
func (p *Policy) Local(uplink string) bool { return p.uplinks[uplink].local }

// IsMitigator reports whether an uplink is one of a domain's mitigators, or a server of a farm that is: one that is asked first, and whose
// reports count for recursion. It need not be Local: a DOTS server may be one.
func (p *Policy) IsMitigator(domain, uplink string) bool {
	d := p.domains[domain]
	return d != nil && slices.Contains(d.route.mitigators, p.logical(uplink))
}

// Recurses reports whether a domain has local mitigators, so that there is something to go on from: without them its requests are at its
// uplinks by its strategy.
func (p *Policy) Recurses(domain string) bool {
	d := p.domains[domain]
	return d != nil && len(d.route.mitigators) > 0
}

// Relays reports whether a comprehension-optional attribute may travel on to an uplink, on a leg that is one mitigation's alone. Where
// addresses are translated none may: raw attributes could name inside addresses.
func (p *Policy) Relays(uplink string, key uint64) bool { return p.uplinks[uplink].relays(key) }

// InsertsCDID reports whether a leg to an uplink carries the identifier of its client's credential.
//
// RFC 9132, Section 4.4.1.2: a gateway of the server's domain inserts the cdid.
func (p *Policy) InsertsCDID(uplink string) bool { return p.uplinks[uplink].cdid }

// allUp are uplinks of which nothing is known yet.
type allUp struct{}

// Link returns a link that is as it should be.
func (allUp) Link(string) Link { return Link{Up: true} }
