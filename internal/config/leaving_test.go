package config

import (
	"fmt"
	"testing"

	"github.com/dotsgate/dotsgate/policy"
)

// TestRetain keeps what a later file does not name: nobody is sent there, and the later file is as it would be without.
func TestRetain(t *testing.T) {
	const head = `
node: {id: gw1}
listeners: [{address: "127.0.0.1:0"}]
credentials: {cert: cert.pem, key: key.pem, ca: ca.pem}
domains: [{name: d, prefixes: [192.0.2.0/24], clients: [{name: c, credentials: {cert_names: [c]}}]%s}]
`
	dir := folder(t)
	parse := func(domain, more string) *Config {
		t.Helper()
		c, err := parseIn(dir, fmt.Sprintf(head, domain)+more)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := parse(", uplinks: [a, farm], mitigators: [box]", `
uplinks:
  - {name: a, address: "a.example:4646", prefixes: [192.0.2.0/25]}
  - {name: farm, servers: [{name: x, address: "x.example:4646"}, {name: y, address: "y.example:4646"}]}
mitigators: [{name: box, command: {program: /bin/true}}]
`)
	next := parse("", "uplinks: [{name: b, address: \"b.example:4646\", prefixes: [192.0.2.0/24]}]\n") // the only one: its domain need not name it
	if c, err := next.Retain(next); err != nil || c != next {
		t.Errorf("nothing to retain: %v, %v", c == next, err)
	}
	kept, err := next.Retain(old)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(kept.Leaving()); got != "[a farm/x farm/y box]" {
		t.Errorf("%v leave", got)
	}
	for _, name := range []string{"a", "farm/x", "box"} {
		if kept.Policy.CUIDMode(name) != old.Policy.CUIDMode(name) || kept.Policy.Local(name) != old.Policy.Local(name) {
			t.Errorf("%s: cuid %q, local %v", name, kept.Policy.CUIDMode(name), kept.Policy.Local(name))
		}
		if kept.Policy.Reaches(name) {
			t.Errorf("%s may be named", name)
		}
	}
	if !kept.Policy.Reaches("b") || next.Policy.CUIDMode("a") != policy.CUIDMode("") || len(next.Uplinks) != 1 || len(old.Leaving()) != 0 {
		t.Errorf("what was given has changed: %+v", next.Uplinks)
	}
	again, err := kept.Release([]string{"farm/x", "box", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(again.Leaving(), len(again.Uplinks), len(again.Mitigators), len(kept.Uplinks)); got != "[a farm/y] 3 0 4" {
		t.Errorf("after some were let go: %s", got)
	}
	if again.Policy.CUIDMode("box") != "" || !again.Policy.Reaches("b") {
		t.Error("one that was let go is known, or one that does not leave is not")
	}
	if last, err := next.Retain(again); err != nil || fmt.Sprint(last.Leaving()) != "[a farm/y]" {
		t.Errorf("over another change %v leave, %v", last.Leaving(), err)
	}
}
