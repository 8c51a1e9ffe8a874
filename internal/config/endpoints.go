package config

import (
	"bufio"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// listeners checks where clients come in.
func (b *builder) listeners(fs []fileListener) []Listener {
	if len(fs) == 0 {
		b.add("listeners", "missing", "add at least one: {address: 0.0.0.0:4646, transport: dtls}")
	}
	seen := map[string]int{}
	ls := make([]Listener, 0, len(fs))
	for i, f := range fs {
		at := fmt.Sprintf("listeners[%d]", i)
		l := Listener{Address: f.Address, RequireALPN: f.RequireALPN, MaxSessions: f.MaxSessions}
		b.address(at+".address", f.Address, true)
		l.Transport = b.oneOf(at+".transport", f.Transport, TransportDTLS, TransportDTLS, TransportTLS)
		l.Profiles = f.Profiles
		if len(l.Profiles) == 0 {
			l.Profiles = []string{ProfileRFC9132}
		}
		for j, p := range f.Profiles {
			b.oneOf(fmt.Sprintf("%s.profiles[%d]", at, j), p, "", ProfileRFC9132, ProfileDraft04)
		}
		if f.MaxSessions < 0 {
			b.add(at+".max_sessions", "negative", "use 0 for the built-in bound")
		}
		key := l.Transport + " " + l.Address
		if first, ok := seen[key]; ok && !strings.HasSuffix(l.Address, ":0") {
			b.addf(at+".address", "remove one of them", "same as listeners[%d]", first)
		}
		seen[key] = i
		ls = append(ls, l)
	}
	return ls
}

// uplinks checks where the gateway asks.
func (b *builder) uplinks(fs []fileUplink, c *Config) []Uplink {
	if len(fs) == 0 {
		b.add("uplinks", "missing", "add at least one: {name: provider, address: dots.example.net:4646}")
	}
	us := make([]Uplink, 0, len(fs))
	for i, f := range fs {
		at := fmt.Sprintf("uplinks[%d]", i)
		u := Uplink{Name: f.Name, Address: f.Address, ServerName: f.ServerName}
		b.address(at+".address", f.Address, false)
		u.Transport = b.oneOf(at+".transport", f.Transport, TransportDTLS, TransportDTLS, TransportTLS)
		u.Profile = b.oneOf(at+".profile", f.Profile, ProfileRFC9132, ProfileRFC9132, ProfileDraft04)
		u.Credentials = c.Credentials
		if f.Credentials != nil {
			u.Credentials = b.credentials(at+".credentials", *f.Credentials, true)
		}
		if u.ServerName == "" {
			u.ServerName, _, _ = net.SplitHostPort(u.Address)
		}
		for j, l := range c.Listeners {
			if l.Address == u.Address && l.Transport == u.Transport {
				b.addf(at+".address", "name the upstream server, not this gateway", "same as listeners[%d]: requests would loop", j)
			}
		}
		us = append(us, u)
	}
	return us
}

// address checks a host:port. A listener may leave the host out.
func (b *builder) address(path, address string, listen bool) {
	const fix = "use HOST:PORT, such as 192.0.2.1:4646 or [2001:db8::1]:4646"
	if address == "" {
		b.add(path, "missing", fix)
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.addf(path, fix, "%q is no address", address)
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !listen {
		b.addf(path, "use a port from 1 to 65535; DOTS has 4646", "%q is no port", port)
	}
	if host == "" && !listen {
		b.add(path, "the host is missing", fix)
	}
	if listen && host != "" && net.ParseIP(host) == nil && host != "localhost" {
		b.addf(path, "listen on an IP address of this machine", "%q is no IP address", host)
	}
}

// credentials checks that the files exist and belong together.
func (b *builder) credentials(at string, f fileCredentials, required bool) Credentials {
	c := Credentials{Cert: b.path(f.Cert), Key: b.path(f.Key), CA: b.path(f.CA), CRL: b.path(f.CRL),
		PSKIdentity: f.PSKIdentity, AllowPlainPSK: f.AllowPlainPSK}
	if f.PSKFile != "" {
		c.PSKs = b.pskFile(at+".psk_file", b.path(f.PSKFile))
	}
	if f.PSKIdentity != "" && c.PSKs != nil && c.PSKs[f.PSKIdentity] == nil {
		b.addf(at+".psk_identity", "add a line IDENTITY:HEXKEY to the psk_file", "no key for %q", f.PSKIdentity)
	}
	if f.Cert == "" && f.Key == "" && f.CA == "" && f.PSKFile != "" {
		return c
	}
	before := len(b.errors)
	b.readable(at+".cert", c.Cert, required)
	b.readable(at+".key", c.Key, required)
	b.readable(at+".ca", c.CA, required)
	b.readable(at+".crl", c.CRL, false)
	if len(b.errors) == before && c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			b.add(at+".key", strings.TrimPrefix(err.Error(), "tls: "), "give the PEM certificate and the PEM key that belongs to it")
		}
	}
	return c
}

// readable notes a file that is missing or cannot be read.
func (b *builder) readable(path, file string, required bool) {
	if file == "" {
		if required {
			b.add(path, "missing", "name a PEM file")
		}
		return
	}
	f, err := os.Open(file)
	if err != nil {
		b.add(path, cause(err)+" ("+file+")", "check the path, which is relative to the configuration file, and its rights")
		return
	}
	_ = f.Close() // opened to see that it can be
}

// pskFile reads identities and keys: a line IDENTITY:HEXKEY each; empty lines and lines that begin with # are skipped.
func (b *builder) pskFile(path, name string) map[string][]byte {
	const fix = "write a line IDENTITY:HEXKEY for each key, of at least 16 bytes"
	f, err := os.Open(name)
	if err != nil {
		b.add(path, cause(err)+" ("+name+")", fix)
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	keys := map[string][]byte{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ':')
		key, err := hex.DecodeString(line[i+1:])
		if i < 1 || err != nil || len(key) < 16 {
			b.addf(path, fix, "line %d of %s is no identity with a key", n, name)
			continue
		}
		keys[line[:i]] = key
	}
	if err := lines.Err(); err != nil {
		b.add(path, cause(err), fix)
	}
	return keys
}
