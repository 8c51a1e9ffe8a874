package policy

import "testing"

func TestParseURI(t *testing.T) {
	tests := []struct {
		in, want string // normal form; empty: refused
	}{
		{"https://www.example.com/path", "https://www.example.com:443/path"},
		{"HTTPS://WWW.Example.COM.:0443/path/", "https://www.example.com:443/path"},
		{"http://www.example.com", "http://www.example.com:80/"},
		{"http://www.example.com:/", "http://www.example.com:80/"},
		{"https://www.example.com/a/../b?q=1#f", "https://www.example.com:443/b?q=1"},
		{"https://www.example.com/a/%2e%2e/b", "https://www.example.com:443/b"},
		{"coaps+tcp://iot.example.com/x", "coaps+tcp://iot.example.com:5684/x"},
		{"gopher://old.example.com/x", "gopher://old.example.com:/x"},
		{"https://198.51.100.1:8443/", "https://198.51.100.1:8443/"},
		{"https://[2001:db8:1::1]/", "https://2001:db8:1::1:443/"},
		{"https://user@www.example.com/", ""},
		{"https://www.example.com@evil.example/", ""},
		{`https://www.example.com\@evil.example/`, ""},
		{"https://[fe80::1%25eth0]/", ""},
		{"https://www.example.com:99999/", ""},
		{"https://www.example.com:80a/", ""},
		{"https://2130706433/", ""},
		{"https://127.1/", ""},
		{"https://0x7f000001/", ""},
		{"mailto:a@example.com", ""},
		{"//www.example.com/", ""},
		{"/path", ""},
		{"www.example.com", ""},
		{"https:///path", ""},
		{"https://ex ample.com/", ""},
		{"https://%65xample.com/", ""},
		{"", ""},
	}
	for _, tt := range tests {
		u, ok := parseURI(tt.in)
		if got := u.String(); ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("parseURI(%q) = %q, %v, want %q", tt.in, got, ok, tt.want)
		}
	}
}

func TestURISetComparesSegmentBySegment(t *testing.T) {
	set := uriSet{}
	for _, s := range []string{"https://a.example/shop", "https://b.example:8443", "https://c.example/x/", "http://d.example"} {
		u, ok := parseURI(s)
		if !ok {
			t.Fatalf("cannot read %s", s)
		}
		set.add(u)
	}
	tests := []struct {
		uri  string
		want bool
	}{
		{"https://a.example/shop", true},
		{"https://a.example/shop/cart?id=1", true},
		{"https://a.example:9443/shop/cart", true}, // no port owned means every port
		{"https://A.EXAMPLE/shop/", true},
		{"https://a.example/shopping", false},
		{"https://a.example/", false},
		{"https://a.example/shop/../admin", false},
		{"https://a.example/shop/%2e%2e/admin", false},
		{"https://a.example/shop%2f..%2fadmin", false},
		{"http://a.example/shop", false}, // another scheme
		{"https://www.a.example/shop", false},
		{"https://b.example:8443/anything", true},
		{"https://b.example/anything", false},
		{"https://c.example/x/y", true},
		{"https://c.example/x", true},
		{"http://d.example:8080/", true},
		{"https://e.example/", false},
	}
	for _, tt := range tests {
		u, ok := parseURI(tt.uri)
		if !ok {
			t.Fatalf("cannot read %s", tt.uri)
		}
		if got := set.covers(u); got != tt.want {
			t.Errorf("covers(%s) = %v, want %v", tt.uri, got, tt.want)
		}
	}
}
