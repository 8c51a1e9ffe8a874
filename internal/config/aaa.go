package config

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Rules for an AAA server that does not answer.
const (
	FailClosed    = "closed"     // the request gets 5.03
	FailLastKnown = "last-known" // what it said before holds, up to AAA.MaxStale
)

// AAA is who has the last word on new requests of the domains that consult. One of Radius and HTTP is set.
type AAA struct {
	Radius            *Radius
	HTTP              *Hook
	CacheSize         int // decisions kept
	AllowTTL, DenyTTL time.Duration
	Fail              string // FailClosed or FailLastKnown
	MaxStale          time.Duration
}

// Radius are RADIUS servers, asked in order.
type Radius struct {
	Servers    []string // host:port
	SecretFile string
	Timeout    time.Duration // before a try is repeated
	Tries      int
	DeadTime   time.Duration // how long one that was silent is asked last
	Vendor     int           // the enterprise number of our attributes; 0: that of examples
}

// Hook is somebody who is asked over HTTP.
type Hook struct {
	URL           string
	CA, Cert, Key string // PEM files; CA empty: the system's authorities; Cert and Key empty: we show none
	Timeout       time.Duration
}

// Defaults of aaa.
const (
	defaultRadiusTimeout = time.Second
	defaultRadiusTries   = 3
	defaultDeadTime      = 30 * time.Second
	defaultHookTimeout   = 3 * time.Second
	defaultCacheSize     = 10000
	defaultAllowTTL      = time.Minute
	defaultDenyTTL       = 10 * time.Second
	defaultMaxStale      = 24 * time.Hour
)

// aaa checks who is asked about requests.
func (b *builder) aaa(file *file) *AAA {
	f := file.AAA
	if f == nil {
		return nil
	}
	a := &AAA{
		CacheSize: defaultCacheSize,
		AllowTTL:  b.duration("aaa.cache.allow_ttl", f.Cache.AllowTTL, span{defaultAllowTTL, 0, 24 * time.Hour}),
		DenyTTL:   b.duration("aaa.cache.deny_ttl", f.Cache.DenyTTL, span{defaultDenyTTL, 0, 24 * time.Hour}),
		Fail:      b.oneOf("aaa.fail", f.Fail, FailClosed, FailClosed, FailLastKnown),
		MaxStale:  b.duration("aaa.max_stale", f.MaxStale, span{defaultMaxStale, time.Second, 30 * 24 * time.Hour}),
	}
	if f.Cache.Size != nil {
		a.CacheSize = *f.Cache.Size
		b.between("aaa.cache.size", *f.Cache.Size, 1, 1_000_000)
	}
	if (f.Radius == nil) == (f.HTTP == nil) {
		b.add("aaa", "one of radius and http is needed", "keep the one that is to be asked")
		return a
	}
	if f.Radius != nil {
		a.Radius = b.radius(*f.Radius)
	} else {
		a.HTTP = b.hook("aaa.http", *f.HTTP, defaultHookTimeout)
	}
	return a
}

func (b *builder) radius(f fileRadius) *Radius {
	r := &Radius{
		Servers: f.Servers, Tries: defaultRadiusTries, SecretFile: b.secret("aaa.radius.secret_file", f.SecretFile),
		Timeout:  b.duration("aaa.radius.timeout", f.Timeout, span{defaultRadiusTimeout, 100 * time.Millisecond, 30 * time.Second}),
		DeadTime: b.duration("aaa.radius.dead_time", f.DeadTime, span{defaultDeadTime, time.Second, time.Hour}),
	}
	if f.Vendor != nil {
		r.Vendor = *f.Vendor
		b.between("aaa.radius.vendor", *f.Vendor, 1, 1<<24-1)
	}
	if len(f.Servers) == 0 {
		b.add("aaa.radius.servers", missing, "name at least one, such as 192.0.2.1:1812")
	}
	for i, s := range f.Servers {
		b.address(fmt.Sprintf("aaa.radius.servers[%d]", i), s, false)
	}
	if f.Tries != nil {
		r.Tries = *f.Tries
		b.between("aaa.radius.tries", *f.Tries, 1, 10)
	}
	return r
}

// minSecret is the length of the shortest shared secret, in bytes.
const minSecret = 16

// secret checks a file with a shared secret, and returns its path.
func (b *builder) secret(path, name string) string {
	b.secretText(path, name)
	return b.path(name)
}

// secretText returns what a file with a shared secret holds.
func (b *builder) secretText(path, name string) []byte {
	text := b.file(path, b.path(name), "name a file that holds the secret, and nobody else may read")
	secret := bytes.TrimSpace(text)
	if text != nil && len(secret) < minSecret {
		b.addf(path, "make one with: openssl rand -hex 32", "the secret is shorter than %d bytes", minSecret)
	}
	return secret
}

// hook checks an address for HTTP: https, or http on this machine.
func (b *builder) hook(at string, f fileHook, timeout time.Duration) *Hook {
	h := &Hook{
		URL: f.URL, CA: b.path(f.CA), Cert: b.path(f.Cert), Key: b.path(f.Key),
		Timeout: b.duration(at+".timeout", f.Timeout, span{timeout, 10 * time.Millisecond, time.Minute}),
	}
	if f.URL == "" {
		b.add(at+".url", missing, "give an address such as https://dots.example.net/hook")
	} else {
		b.httpAddress(at+".url", f.URL)
	}
	if h.CA != "" {
		if text := b.file(at+".ca", h.CA, ""); text != nil {
			b.authorities(at+".ca", text)
		}
	}
	if h.Cert+h.Key != "" {
		b.pair(at, h.Cert, h.Key)
	}
	return h
}

// httpAddress checks an address for HTTP: https, or http on this machine.
func (b *builder) httpAddress(path, text string) bool {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		b.addf(path, "write https://HOST/PATH, without a password", "%q is no address for HTTP", text)
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		b.add(path, "plain http leaves this machine", "use https")
	default:
		return true
	}
	return false
}

// pair checks that a certificate and its key are there and belong together.
func (b *builder) pair(at, certFile, keyFile string) {
	cert := b.file(at+".cert", certFile, "name a PEM file with the certificate and its intermediates")
	key := b.file(at+".key", keyFile, "name the PEM file of the certificate's key")
	if cert == nil || key == nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		b.add(at+".key", strings.TrimPrefix(err.Error(), "tls: "), "give the PEM certificate and the PEM key that belongs to it")
	}
}

func loopbackHost(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }
