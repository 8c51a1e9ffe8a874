package policy

// Today returns a grant of an earlier configuration with what today's says of its client: domain and uplink. That of a client that may
// ask for nothing any more stays as it is: Recheck refuses it.
func (p *Policy) Today(g Grant) Grant {
	if d, err := p.entitled(g.Client.Name); err == nil {
		g.Domain, g.Uplink = d.name, d.uplink
	}
	return g
}
