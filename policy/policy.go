package policy

import "github.com/dotsgate/dotsgate/dots"

// Policy is a checked Config. It is immutable and safe for concurrent use.
type Policy struct{}

// New checks a Config. Its error joins one *FieldError for each fault found.
func New(c Config) (*Policy, error) { return &Policy{}, nil }

// Identify returns the client entry that a credential belongs to: by public key, then by PSK identity, then by the first
// of the certificate's names that is known (RFC 9132, Section 7.2).
func (p *Policy) Identify(c dots.Credential) (client string, ok bool) { return "", false }

// Domain returns the domain of a client entry; empty: there is no such client.
func (p *Policy) Domain(client string) string { return "" }

// MayMitigate reports whether a client entry is known and no guest.
func (p *Policy) MayMitigate(client string) bool { return false }

// TrustsCDID reports whether a client entry is a gateway that may supply cdid (RFC 9132, Section 4.4.1.2).
func (p *Policy) TrustsCDID(client string) bool { return false }

// Admit decides on a mitigation request.
func (p *Policy) Admit(v View, a Ask) Verdict { return Verdict{} }

// Recheck tests again, after a refresh of names or a change of policy, that a granted target is its domain's. A name that is
// not or could not be resolved is given the benefit: an outage of DNS ends no mitigation.
func (p *Policy) Recheck(v View, g Grant) *dots.Error { return nil }

// Reexpand returns the granted target with the addresses that its names have now.
func (p *Policy) Reexpand(v View, g Grant) Expanded { return g.Expanded }

// Route says where a grant's legs go: one placement now.
func (p *Policy) Route(g Grant) []Placement { return nil }
