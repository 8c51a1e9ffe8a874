package aaa

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Two requests share an answer when nothing differs that may decide.
func TestKey(t *testing.T) {
	same := map[string]func(*Request){
		"another mid":         func(r *Request) { r.MID = 99 },
		"targets reordered":   func(r *Request) { r.Targets = []string{"www.example.com", "192.0.2.0/24"} },
		"protocols reordered": func(r *Request) { r.Protocols = []string{"17", "6"} },
		"ports reordered":     func(r *Request) { r.Ports = []string{"8000-8080", "80"} },
	}
	for name, change := range same {
		r := request()
		change(&r)
		if r.key() != request().key() {
			t.Errorf("%s: another key", name)
		}
	}
	seen := map[key]string{request().key(): "unchanged"}
	for name, change := range map[string]func(*Request){
		"client":          func(r *Request) { r.Client = "client2" },
		"cuid":            func(r *Request) { r.CUID = "x" },
		"cdid":            func(r *Request) { r.CDID = "x" },
		"domain":          func(r *Request) { r.Domain = "customer-b" },
		"target":          func(r *Request) { r.Targets = []string{"192.0.2.0/25", "www.example.com"} },
		"less":            func(r *Request) { r.Targets = r.Targets[:1] },
		"twice":           func(r *Request) { r.Targets = append(r.Targets, r.Targets[0]) },
		"protocol":        func(r *Request) { r.Protocols = []string{"6"} },
		"all protocols":   func(r *Request) { r.Protocols = nil },
		"port":            func(r *Request) { r.Ports = []string{"80"} },
		"lifetime":        func(r *Request) { r.Lifetime = 3601 },
		"indefinite":      func(r *Request) { r.Lifetime = -1 },
		"moved text":      func(r *Request) { r.Client, r.CUID = r.Client+r.CUID, "" },
		"joined targets":  func(r *Request) { r.Targets = []string{strings.Join(r.Targets, "")} },
		"target as port":  func(r *Request) { r.Ports, r.Targets = append(r.Ports, "zz"), r.Targets[:2] },
		"port as target":  func(r *Request) { r.Targets = append(r.Targets, "zz") },
		"everything gone": func(r *Request) { *r = Request{} },
	} {
		r := request()
		change(&r)
		k := r.key()
		if other, ok := seen[k]; ok {
			t.Errorf("%s: the key of %s", name, other)
		}
		seen[k] = name
	}
}

// A key is made without touching the request: its slices are the caller's.
func TestKeyLeavesTheRequest(t *testing.T) {
	r := Request{Targets: []string{"b", "a"}}
	r.key()
	if r.Targets[0] != "b" {
		t.Error("the targets are sorted in place")
	}
}

func TestTidy(t *testing.T) {
	long := strings.Repeat("é", MaxReason)
	tests := []struct{ in, want string }{
		{"not today", "not today"},
		{" a\r\nb\x00c\x1b[31m ", "a  b c [31m"},
		{"\xff\xfe", ""},
		{"größer", "größer"},
		{strings.Repeat("x", MaxReason+1), strings.Repeat("x", MaxReason)},
		{long, long[:MaxReason]},
		{"x" + long, "x" + long[:MaxReason-2]},
	}
	for _, tt := range tests {
		got := tidy(tt.in)
		if got != tt.want || len(got) > MaxReason || !utf8.ValidString(got) {
			t.Errorf("tidy(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
