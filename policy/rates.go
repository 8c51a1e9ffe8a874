package policy

// Rates bounds how fast a client entry may bring what is new. 0: no bound.
type Rates struct {
	RequestsPerMinute int // new requests, as many at once; refreshes and withdrawals do not count
	NewCUIDsPerHour   int // cuids that it did not have, as many at once
}

// Rates returns the bounds of a client entry; none for an unknown one, which gets nothing anyhow.
func (p *Policy) Rates(client string) Rates {
	return p.clients[client].limits.rates
}

// MaxObservers bounds the observations of a client entry at a time (RFC 7641, Section 4.1: a server may leave any unanswered). 0: no bound.
func (p *Policy) MaxObservers(client string) int { return p.clients[client].limits.maxObservers }
