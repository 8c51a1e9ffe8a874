package policy

import (
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// uri is a target-uri taken apart.
type uri struct {
	scheme string
	host   string     // a name in normal form; empty where addr is set
	addr   netip.Addr // of a literal host
	port   string     // as written, or the scheme's own; empty where neither is known
	ported bool       // the port was written
	path   string     // decoded and cleaned, with a leading slash
	query  string
}

// schemePort returns the port that a scheme stands for; empty: not known.
func schemePort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "ftp":
		return "21"
	case "sip":
		return "5060"
	case "sips":
		return "5061"
	case "coap", "coap+tcp":
		return "5683"
	case "coaps", "coaps+tcp":
		return "5684"
	}
	return ""
}

// parseURI reads a target-uri; false: it has no scheme and host, or could be read in two ways. User information is refused, since it
// makes one host look like another; so are zones.
func parseURI(s string) (uri, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return uri{}, false
	}
	r := uri{scheme: u.Scheme, port: schemePort(u.Scheme), path: path.Clean("/" + u.Path), query: u.RawQuery}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return uri{}, false
		}
		r.port, r.ported = strconv.FormatUint(n, 10), true
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		r.addr = addr
		return r, addr.Zone() == ""
	}
	var ok bool
	r.host, ok = normalName(u.Hostname())
	return r, ok
}

// authority returns the host as text.
func (u uri) authority() string {
	if u.addr.IsValid() {
		return u.addr.String()
	}
	return u.host
}

// String returns the normal form, in which equal URIs are equal.
func (u uri) String() string {
	s := u.scheme + "://" + u.authority() + ":" + u.port + u.path
	if u.query != "" {
		s += "?" + u.query
	}
	return s
}

// uriPrefix is what a domain owns of URIs with one scheme and host.
type uriPrefix struct {
	port string // empty: any
	path string // "/": any
}

// uriSet holds owned prefixes by scheme and host.
type uriSet map[string][]uriPrefix

// add makes a prefix owned; one that names no port stands for every port.
func (s uriSet) add(u uri) {
	p := uriPrefix{path: u.path}
	if u.ported {
		p.port = u.port
	}
	key := u.scheme + "://" + u.authority()
	s[key] = append(s[key], p)
}

// covers reports whether a URI lies under an owned prefix. Paths are compared segment by segment.
func (s uriSet) covers(u uri) bool {
	for _, p := range s[u.scheme+"://"+u.authority()] {
		if p.port != "" && p.port != u.port {
			continue
		}
		if p.path == "/" || p.path == u.path || strings.HasPrefix(u.path, p.path+"/") {
			return true
		}
	}
	return false
}
