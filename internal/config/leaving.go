package config

import (
	"fmt"
	"slices"

	"github.com/dotsgate/dotsgate/policy"
)

// Retain returns a copy of c that still knows those uplinks and mitigators of old that c does not: they are Leaving. Nobody is sent there, but
// what they were asked for can still be ended. Where there is none it is c itself.
func (c *Config) Retain(old *Config) (*Config, error) {
	known := c.places()
	n := *c
	n.leaving = slices.Clone(c.leaving)
	n.Uplinks, n.Mitigators, n.words.Uplinks = slices.Clone(c.Uplinks), slices.Clone(c.Mitigators), slices.Clone(c.words.Uplinks)
	for _, u := range old.Uplinks {
		if !known[u.Name] {
			n.Uplinks = append(n.Uplinks, u)
		}
	}
	for _, m := range old.Mitigators {
		if !known[m.Name] {
			n.Mitigators = append(n.Mitigators, m)
		}
	}
	for _, u := range old.words.Uplinks {
		if !known[u.Name] {
			u.Leaving, u.Prefixes = true, nil // its provider's addresses may be another's by now
			n.words.Uplinks, n.leaving = append(n.words.Uplinks, u), append(n.leaving, u.Name)
		}
	}
	if len(n.leaving) == len(c.leaving) {
		return c, nil
	}
	return n.again()
}

// Release returns a copy of c without those of the uplinks and mitigators that are Leaving and are named.
func (c *Config) Release(names []string) (*Config, error) {
	gone := map[string]bool{}
	for _, name := range names {
		gone[name] = slices.Contains(c.leaving, name)
	}
	n := *c
	n.leaving = slices.DeleteFunc(slices.Clone(c.leaving), func(name string) bool { return gone[name] })
	n.Uplinks = slices.DeleteFunc(slices.Clone(c.Uplinks), func(u Uplink) bool { return gone[u.Name] })
	n.Mitigators = slices.DeleteFunc(slices.Clone(c.Mitigators), func(m Mitigator) bool { return gone[m.Name] })
	n.words.Uplinks = slices.DeleteFunc(slices.Clone(c.words.Uplinks), func(u policy.Uplink) bool { return gone[u.Name] })
	return n.again()
}

// Leaving lists the uplinks and mitigators that are not configured any more, and only retained.
func (c *Config) Leaving() []string { return slices.Clone(c.leaving) }

// again makes the policy of the words as they are now.
func (c *Config) again() (*Config, error) {
	var err error
	if c.Policy, err = policy.New(c.words); err != nil {
		return nil, fmt.Errorf("making the policy with uplinks that leave: %w", err)
	}
	return c, nil
}

// places are the names of all uplinks and mitigators.
func (c *Config) places() map[string]bool {
	names := map[string]bool{}
	for _, u := range c.Uplinks {
		names[u.Name] = true
	}
	for _, m := range c.Mitigators {
		names[m.Name] = true
	}
	return names
}
