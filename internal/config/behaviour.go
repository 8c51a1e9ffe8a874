package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Defaults, in one place. docs/configuration.md repeats them.
const (
	defaultAnswerWait     = 2 * time.Second
	defaultTerminating    = 120 * time.Second // RFC 9132, Section 4.4.4
	defaultTerminatingMax = 300 * time.Second // RFC 9132, Section 4.4.4
	defaultNotifyEvery    = 60 * time.Second
	defaultHeartbeat      = 30 * time.Second // RFC 9132, Section 4.5.2
	defaultMissing        = 15               // RFC 9132, Section 4.5.2
	defaultStore          = "dotsgate.db"
	defaultMetrics        = "127.0.0.1:9464"
	defaultAdmin          = "/run/dotsgate/admin.sock"
)

// span is a default and its bounds.
type span struct{ def, low, high time.Duration }

// duration reads a time such as "5s", within bounds.
func (b *builder) duration(path, text string, s span) time.Duration {
	if text == "" {
		return s.def
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.addf(path, "use a number with a unit, such as 5s, 2m or 500ms", "%q is no duration", text)
		return s.def
	}
	if d < s.low || d > s.high {
		b.addf(path, fmt.Sprintf("use %v to %v", s.low, s.high), "%v is out of range", d)
		return s.def
	}
	return d
}

func (b *builder) mitigation(f fileMitigation) Mitigation {
	m := Mitigation{
		AnswerWait:     b.duration("mitigation.answer_wait", f.AnswerWait, span{defaultAnswerWait, 10 * time.Millisecond, time.Minute}),
		Terminating:    b.duration("mitigation.terminating", f.Terminating, span{defaultTerminating, time.Second, defaultTerminatingMax}),
		TerminatingMax: b.duration("mitigation.terminating_max", f.TerminatingMax, span{defaultTerminatingMax, time.Second, defaultTerminatingMax}),
		WhenDown:       b.oneOf("mitigation.when_down", f.WhenDown, "hold", "hold", "refuse"),
		NotifyEvery:    b.duration("mitigation.notify_every", f.NotifyEvery, span{defaultNotifyEvery, 3 * time.Second, time.Hour}),
		Mirror:         f.Mirror == nil || *f.Mirror,
	}
	if m.TerminatingMax < m.Terminating {
		b.add("mitigation.terminating_max", "shorter than terminating", "make it at least as long")
	}
	return m
}

func (b *builder) session(f fileSession) Session {
	s := Session{
		HeartbeatInterval: b.duration("session.heartbeat_interval", f.HeartbeatInterval, span{defaultHeartbeat, time.Second, 240 * time.Second}),
		MissingHBAllowed:  defaultMissing,
		MaxAge:            b.duration("session.max_age", f.MaxAge, span{defaultMaxAge, leastMaxAge, mostMaxAge}).Truncate(time.Second),
		EndUnrefreshed:    f.EndUnrefreshed, Idle: b.offered("session.idle", f.Idle), Mitigating: b.offered("session.mitigating", f.Mitigating),
	}
	if s.HeartbeatInterval%time.Second != 0 {
		up := s.HeartbeatInterval.Truncate(time.Second) + time.Second
		b.add("session.heartbeat_interval", "not in whole seconds", fmt.Sprintf("use %v", up)) // RFC 9132, Section 4.5: it is told in seconds
	}
	if f.MaxPerClient != nil {
		s.MaxPerClient = *f.MaxPerClient
		b.between("session.max_per_client", *f.MaxPerClient, 0, 1<<20)
	}
	if f.MissingHBAllowed != nil {
		s.MissingHBAllowed = *f.MissingHBAllowed
		b.between("session.missing_hb_allowed", *f.MissingHBAllowed, 2, 1000)
	}
	return s
}

func (b *builder) dns(f fileDNS) DNS {
	d := DNS{
		Server: f.Server, TLSName: f.TLSName, CA: b.path(f.CA), RequireDNSSEC: f.RequireDNSSEC,
		Transport: b.oneOf("dns.transport", f.Transport, "udp", "udp", "tcp", "dot"),
		Static:    map[string][]netip.Addr{},
	}
	if f.Server != "" {
		b.address("dns.server", f.Server, false)
	}
	if d.CA != "" {
		if text := b.file("dns.ca", d.CA, ""); text != nil {
			b.authorities("dns.ca", text)
		}
	}
	names := make([]string, 0, len(f.Static))
	for name := range f.Static {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i, text := range f.Static[name] {
			a, err := netip.ParseAddr(text)
			if err != nil {
				b.addf(fmt.Sprintf("dns.static.%s[%d]", name, i), "use an IP address", "%q is no address", text)
			}
			d.Static[name] = append(d.Static[name], a)
		}
	}
	return d
}

// places checks where the gateway keeps and shows its state.
func (b *builder) places(f *file, c *Config) {
	c.Store = b.path(f.Store.Path)
	if c.Store == "" {
		c.Store = b.path(defaultStore)
	}
	b.folderOf("store.path", c.Store)
	c.Metrics = defaultMetrics
	if f.Metrics.Address != nil {
		c.Metrics = *f.Metrics.Address
	}
	if c.Metrics != "" {
		b.loopback("metrics.address", c.Metrics)
	}
	c.Admin = b.adminSocket(f)
	if len(c.Admin) > 100 {
		b.add("admin.socket", "longer than a Unix socket's path may be", "use at most 100 characters")
	}
	c.Log.Level = b.oneOf("log.level", f.Log.Level, "info", "debug", "info", "warn", "error")
	c.Log.Format = b.oneOf("log.format", f.Log.Format, "text", "text", "json")
}

// folderOf notes a file whose folder is not there, so that it could not be made.
func (b *builder) folderOf(path, name string) {
	dir := filepath.Dir(name)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		b.addf(path, "make it, owned by the gateway's user, or name another path", "there is no folder %s", dir)
	case errors.Is(err, fs.ErrPermission): // it may be there, for the user that the gateway runs as
	case err != nil:
		b.addf(path, "check the path", "cannot look at the folder %s: %s", dir, cause(err))
	case !info.IsDir():
		b.addf(path, "name a file in a folder", "%s is no folder", dir)
	}
}

// loopback checks an address that only this machine may reach.
func (b *builder) loopback(path, address string) {
	b.address(path, address, true)
	host, _, err := net.SplitHostPort(address)
	if err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		b.add(path, "reachable from outside", "use a loopback address, such as 127.0.0.1:9464")
	}
}
