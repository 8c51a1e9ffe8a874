package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/policy"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 16 << 20

// Load reads and checks a configuration file. Its error is an Errors with every mistake that was found.
func Load(path string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, Errors{{File: path, Cause: cause(err), Fix: "name a readable file with -c; start from: dotsgate config --example"}}
	}
	return Parse(path, text)
}

// Parse checks the text of a configuration file. name is for messages, and relative paths in the text are relative to its folder.
func Parse(name string, text []byte) (*Config, error) {
	var f file
	s := parse(name, text, &f, fixEmpty)
	if s.unusable {
		return nil, s.sorted()
	}
	unknown := len(s.errors)
	b := &builder{source: s, dir: filepath.Dir(name), nat: map[int]*source{}}
	c := b.build(&f)
	if unknown > 0 {
		// What is missing is probably what has an unknown name: to say it twice helps nobody.
		s.errors = append(s.errors[:unknown:unknown], slices.DeleteFunc(s.errors[unknown:], func(e *Error) bool { return e.Cause == missing })...)
	}
	if all := b.all(); len(all) > 0 {
		return nil, all
	}
	return c, nil
}

// fixEmpty says what to do about a configuration without anything.
const fixEmpty = "start from: dotsgate config --example"

// missing is the cause of a mistake that lies in what is not there.
const missing = "missing"

// sorted returns the mistakes in the order of their lines.
func (s *source) sorted() Errors {
	slices.SortStableFunc(s.errors, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return s.errors
}

// cause strips an error of what its line says already.
func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return "cannot read it: " + p.Err.Error()
	}
	return err.Error()
}

// builder turns the file's types into the program's and notes every mistake on the way.
type builder struct {
	*source
	dir    string
	stands []uplinkPlace   // where the file speaks of policy's uplinks
	farms  []string        // and of its farms
	nat    map[int]*source // translation files, by domain

	natFiles []natFile
	asks     bool // there is an AAA server
}

// all returns the mistakes of all files, those of the configuration first.
func (b *builder) all() Errors {
	all := b.sorted()
	for _, i := range slices.Sorted(maps.Keys(b.nat)) {
		all = append(all, b.nat[i].sorted()...)
	}
	return all
}

func (b *builder) build(f *file) *Config {
	c := &Config{File: b.name, NodeID: f.Node.ID}
	b.node(f, c)
	c.Credentials = b.credentials("credentials", f.Credentials)
	c.Listeners = b.listeners(f.Listeners, c)
	c.Uplinks = b.uplinks(f, c)
	c.Mitigators = b.mitigators(f.Mitigators)
	c.Mitigation = b.mitigation(f.Mitigation)
	c.Session = b.session(f.Session)
	c.DNS = b.dns(f.DNS)
	c.AAA = b.aaa(f)
	b.places(f, c)
	b.policy(f, c)
	return c
}

// node checks what names this gateway.
func (b *builder) node(f *file, c *Config) {
	switch {
	case c.NodeID == "":
		b.add("node.id", missing, "give the gateway a name without spaces, such as gw1.example.net")
	case strings.ContainsFunc(c.NodeID, func(r rune) bool { return r <= ' ' || r > '~' }) || len(c.NodeID) > 60:
		// RFC 8768, Section 4: the list of a 5.08 separates identifiers by a space.
		b.addf("node.id", "use at most 60 letters, digits and signs of ASCII, without spaces", "%q cannot be used as an identifier", c.NodeID)
	}
	c.HideTopology = f.Node.HideTopology == nil || *f.Node.HideTopology
	c.HopLimit = 16
	if h := f.Node.HopLimit; h != nil {
		c.HopLimit = *h
		b.between("node.hop_limit", *h, 1, 255)
	}
	c.Unicast, c.UnicastName = b.addresses("node.unicast", f.Node.Unicast), f.Node.UnicastName
	b.hostName("node.unicast_name", f.Node.UnicastName)
	if f.Node.CookieSecret != "" {
		c.CookieSecret = b.secretText("node.cookie_secret_file", f.Node.CookieSecret)
	}
}

// between notes a number outside of its range.
func (b *builder) between(path string, n, low, high int) {
	if n < low || n > high {
		b.addf(path, fmt.Sprintf("use %d to %d", low, high), "%d is out of range", n)
	}
}

// oneOf returns the word, or def where it is missing, and notes one that is not known.
func (b *builder) oneOf(path, word, def string, known ...string) string {
	if word == "" {
		return def
	}
	if !slices.Contains(known, word) {
		b.addf(path, "use one of: "+strings.Join(known, ", "), "%q is not known", word)
	}
	return word
}

// maxName is the length of the longest name of a client, domain, uplink or certificate, in bytes. The store's keys hold them.
const maxName = 255

// named notes a name that is too long or cannot be shown. Whether one is needed, policy says.
func (b *builder) named(path, name string) {
	switch {
	case len(name) > maxName:
		b.addf(path, fmt.Sprintf("use at most %d bytes", maxName), "%d bytes are too long for a name", len(name))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		b.addf(path, "use letters, digits and signs", "%q has signs that cannot be shown", name)
	}
}

// path makes a path of the file absolute or relative to the working directory, as the file itself was named.
func (b *builder) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(b.dir, p)
}

// policy makes the policy, and gives its complaints their places in the file.
func (b *builder) policy(f *file, c *Config) {
	if len(f.Domains) == 0 {
		b.add("domains", missing, "say who may ask for what: a domain with its name, prefixes and clients")
	}
	b.asks = f.AAA != nil
	c.words = b.policyConfig(f)
	c.natFiles = b.natFiles
	var err error
	if c.Policy, err = policy.New(c.words); err != nil {
		b.complain(err)
	}
}

// complain notes what policy says, each at its place in the file that it is about.
func (b *builder) complain(err error) {
	for _, e := range flatten(err) {
		var fe *policy.FieldError
		if !errors.As(e, &fe) {
			b.add("domains", e.Error(), "")
			continue
		}
		s, path := b.inFile(fe.Path)
		if !s.follows(path) {
			s.add(path, fe.Cause, fe.Fix)
		}
	}
}

// follows reports whether a complaint about a setting may follow from one that is noted already: about the same setting, or
// about what it leans on.
func (s *source) follows(path string) bool {
	leansOn, list := "", ""
	for _, part := range []string{".aliases", ".uris", ".nat"} {
		if head, _, ok := strings.Cut(path, part); ok {
			leansOn = head + ".prefixes"
		}
	}
	for _, names := range []string{"uplinks", "mitigators"} {
		if strings.HasPrefix(path, "domains[") && strings.Contains(path, "]."+names) {
			list = names + "["
		}
	}
	return slices.ContainsFunc(s.errors, func(e *Error) bool {
		return e.Path == path || within(e.Path, path) || within(path, e.Path) || within(leansOn, e.Path) ||
			list != "" && strings.HasPrefix(e.Path, list) && strings.HasSuffix(e.Path, ".name")
	})
}

// within reports whether a setting lies in another one.
func within(outer, inner string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// flatten lists the errors that were joined.
func flatten(err error) []error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
