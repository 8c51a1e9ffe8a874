package gateway

import (
	"fmt"
	"log/slog"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
)

// audit says who asked for what and what became of it: one line of the log for each decision. A refusal by the rate or by the load is one, too.
func (c *Core) audit(a *asking, code dots.Code, more ...slog.Attr) []slog.Attr {
	attrs := append(keyAttrs(a.key()), slog.String("domain", c.policy.Domain(a.ask.Client.Name)), slog.Any("targets", (*targets)(&a.ask.Request.Target)),
		slog.String("code", code.String()))
	if r := a.ruling.Value; a.ruling.Set {
		attrs = append(attrs, slog.String("aaa", rulingWord(r.Allow, r.Failed)), slog.String("aaa_reason", r.Reason))
	}
	return append(attrs, more...)
}

// rulingWord is the word for an AAA server's answer.
func rulingWord(allow, failed bool) string {
	switch {
	case failed:
		return "failed"
	case allow:
		return "allowed"
	}
	return "denied"
}

// maxLogged bounds the elements of a target in a line of the log: a request may have thousands.
const maxLogged = 16

// targets is a target for the log. Its text is made only where the line is written.
type targets dots.Target

// LogValue lists the target's elements, the first maxLogged of them, and how many more there are.
func (t targets) LogValue() slog.Value {
	list := make([]string, 0, maxLogged)
	more := 0
	add := func(s string) {
		if len(list) < maxLogged {
			list = append(list, s)
		} else {
			more++
		}
	}
	for _, p := range t.Prefixes {
		add(p.String())
	}
	for _, of := range [][]string{t.FQDNs, t.URIs} {
		for _, s := range of {
			add(s)
		}
	}
	for _, s := range t.Aliases {
		add("alias:" + s)
	}
	for _, p := range t.Ports {
		add(portsText(p))
	}
	for _, p := range t.Protocols {
		add("protocol:" + strconv.Itoa(int(p)))
	}
	if more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return slog.AnyValue(list)
}

// portsText is a range of ports for the log.
func portsText(p dots.PortRange) string {
	if p.Lower == p.Upper {
		return "port:" + strconv.Itoa(int(p.Lower))
	}
	return fmt.Sprintf("port:%d-%d", p.Lower, p.Upper)
}

// usualAttrs is room for what is usually said of a mitigation.
const usualAttrs = 10

// keyAttrs names a mitigation in a log line.
func keyAttrs(k dots.MitigationKey, more ...slog.Attr) []slog.Attr {
	attrs := append(make([]slog.Attr, 0, usualAttrs), slog.String("client", k.Client.Name), slog.String("cuid", k.Client.CUID))
	if k.Client.CDID != "" {
		attrs = append(attrs, slog.String("cdid", k.Client.CDID))
	}
	return append(append(attrs, slog.Uint64("mid", uint64(k.MID))), more...)
}

// legAttrs names a leg in a log line.
func legAttrs(k dots.LegKey, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("uplink", k.Uplink), slog.String("uplink_cuid", k.CUID), slog.Uint64("uplink_mid", uint64(k.MID))}, more...)
}
