package app

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/aaa"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/resolve"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/reach"
)

// inForce is what follows from a configuration and can be exchanged while the gateway runs. It is immutable once it is in force.
type inForce struct {
	cfg        *config.Config
	identities map[string][sha256.Size]byte
	listeners  *coap.Credentials
	lines      []*line
	resolver   *resolve.Resolver
	authorizer *aaa.Authorizer // nil: nobody is asked
	asked      string          // print of how the authorizer was made
	resolved   string          // and the resolver
	renewals   []renewal
}

// renewal are credentials that live sessions and listeners have, and what is to be in their place.
type renewal struct{ live, read *coap.Credentials }

// line is how an uplink is reached.
type line struct {
	link        upstream.LinkConfig
	credentials *coap.Credentials // nil: a local mitigator
	way         *reach.Reach      // nil: a local mitigator
}

// prepare does all of a configuration that can fail, and touches nothing that is in force. old is what is in force; nil: nothing is. What
// would be made just as it is there is taken from there.
func (a *App) prepare(cfg *config.Config, old *inForce) (*inForce, error) {
	if old == nil {
		old = &inForce{}
	}
	n := &inForce{cfg: cfg, resolver: old.resolver, authorizer: old.authorizer}
	var err error
	if n.identities, err = identities(cfg); err != nil {
		return nil, err
	}
	if n.listeners, err = load("listeners", cfg.Credentials); err != nil {
		return nil, err
	}
	if n.resolved = fingerprint(cfg.DNS, cfg.DNS.CA); n.resolved != old.resolved {
		if n.resolver, err = newResolver(cfg.DNS); err != nil {
			return nil, err
		}
	}
	if n.asked = authorizerPrint(cfg); n.asked != old.asked {
		if n.authorizer, err = a.newAuthorizer(cfg); err != nil {
			return nil, err
		}
	}
	if n.lines, err = a.newLines(cfg); err != nil {
		return nil, err
	}
	return n, nil
}

// retain keeps the lines of old whose uplinks are not configured any more, so that what stands there can be ended. They are as they were made:
// their files may be gone, too.
func (n *inForce) retain(old *inForce) (err error) {
	known := len(n.lines)
	if n.cfg, err = n.cfg.Retain(old.cfg); err != nil {
		return err
	}
	for _, l := range old.lines {
		if name := l.link.Name; n.line(name) == nil {
			n.lines = append(n.lines, l)
			n.identities[name] = old.identities[name]
		}
	}
	if len(n.lines)-known != len(n.cfg.Leaving()) {
		return errors.New("uplinks in force and uplinks configured differ")
	}
	return nil
}

// without is n without some of the uplinks that leave.
func (n *inForce) without(names []string) (*inForce, error) {
	next := *n
	var err error
	if next.cfg, err = n.cfg.Release(names); err != nil {
		return nil, err
	}
	next.lines = slices.DeleteFunc(slices.Clone(n.lines), func(l *line) bool { return slices.Contains(names, l.link.Name) })
	next.identities = maps.Clone(n.identities)
	for _, name := range names {
		delete(next.identities, name)
	}
	return &next, nil
}

// newLines makes the lines of all uplinks and mitigators.
func (a *App) newLines(cfg *config.Config) ([]*line, error) {
	var lines []*line
	for _, u := range cfg.Uplinks {
		l, err := a.newLine(cfg, u)
		if err != nil {
			return nil, fmt.Errorf("uplink %s: %w", u.Name, err)
		}
		lines = append(lines, l)
	}
	for _, m := range cfg.Mitigators {
		l, err := a.newLocal(m)
		if err != nil {
			return nil, fmt.Errorf("mitigator %s: %w", m.Name, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// keep takes from what is in force the lines that are made alike, so that their sessions live on. Their credentials, and the listeners', are
// those of before until renew.
func (n *inForce) keep(old *inForce) {
	n.renewals = nil
	if n.listeners != old.listeners {
		n.renewals = append(n.renewals, renewal{old.listeners, n.listeners})
		n.listeners = old.listeners
	}
	for i, l := range n.lines {
		was := old.line(l.link.Name)
		if was == nil || was == l || was.link.Fingerprint != l.link.Fingerprint {
			continue
		}
		if was.credentials != nil {
			n.renewals = append(n.renewals, renewal{was.credentials, l.credentials})
		}
		kept := *was
		kept.link.Session = l.link.Session // it is changed on the session that there is
		n.lines[i] = &kept
	}
}

// renew gives what was kept the credentials that were read for it.
func (n *inForce) renew() {
	for _, r := range n.renewals {
		r.live.Use(r.read)
	}
	n.renewals = nil
}

// line finds a line by its uplink's name; nil: there is none.
func (n *inForce) line(name string) *line {
	for _, l := range n.lines {
		if l.link.Name == name {
			return l
		}
	}
	return nil
}

// links lists the links of the lines.
func (n *inForce) links() []upstream.LinkConfig {
	links := make([]upstream.LinkConfig, len(n.lines))
	for i, l := range n.lines {
		links[i] = l.link
	}
	return links
}

// rules is what the core takes of it.
func (n *inForce) rules() gateway.Rules {
	return gateway.Rules{Policy: n.cfg.Policy, Identities: n.identities, Unmirrored: unmirrored(n.cfg.Uplinks), Fits: fits(n.cfg.Uplinks)}
}

// load reads credentials.
func load(of string, c config.Credentials) (*coap.Credentials, error) {
	cc := coap.CredentialsConfig{
		CertFile: c.Cert, KeyFile: c.Key, CAFile: c.CA, CRLFile: c.CRL, PSKIdentity: c.PSKIdentity, AllowPlainPSK: c.AllowPlainPSK,
	}
	if keys := c.PSKs; keys != nil {
		cc.PSKs = func(identity string) ([]byte, bool) {
			key, ok := keys[identity]
			return key, ok
		}
	}
	cred, err := coap.LoadCredentials(cc)
	if err != nil {
		return nil, fmt.Errorf("credentials of %s: %w", of, err)
	}
	return cred, nil
}

// fingerprint differs when a configuration differs, or one of the files that it names. What cannot be read counts as empty: whoever
// uses it says so.
func fingerprint(configuration any, files ...string) string {
	h := sha256.New()
	text, err := json.Marshal(configuration)
	if err != nil {
		text = fmt.Appendf(nil, "%v", err)
	}
	h.Write(text)
	for _, name := range files {
		text, _ := os.ReadFile(name) // see above
		_, _ = fmt.Fprintf(h, "\n%d\n", len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// identities gives the SHA-256 of our own credential toward each uplink, from which our cuid is computed
// (RFC 9132, Section 4.4.1.1). A local mitigator is shown none: it has its name.
func identities(cfg *config.Config) (map[string][sha256.Size]byte, error) {
	ids := make(map[string][sha256.Size]byte, len(cfg.Uplinks)+len(cfg.Mitigators))
	for _, m := range cfg.Mitigators {
		ids[m.Name] = sha256.Sum256([]byte(m.Name))
	}
	for _, u := range cfg.Uplinks {
		if u.Credentials.PSKIdentity != "" || u.Credentials.Cert == "" {
			ids[u.Name] = sha256.Sum256([]byte(u.Credentials.PSKIdentity))
			continue
		}
		pair, err := tls.LoadX509KeyPair(u.Credentials.Cert, u.Credentials.Key)
		if err != nil {
			return nil, fmt.Errorf("uplink %s: loading the certificate: %w", u.Name, err)
		}
		ids[u.Name] = sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	}
	return ids, nil
}
