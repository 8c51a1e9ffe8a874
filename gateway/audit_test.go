package gateway

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// TestAudit reads the lines of decisions: who asked, for what, what it was told and why, and what the AAA server said.
func TestAudit(t *testing.T) {
	cfg := testCoreConfig(t)
	cfg.Policy = testPolicyFor(t, func(p *policy.Config) { p.Domains[0].Consult = true })
	c, err := NewCore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	ask := func(client, target string) Mitigate {
		return Mitigate{1, dots.Ask{Client: dots.Client{Name: client, CUID: "c", CDID: "d"}, Request: put(1, target), HopLimit: 9}}
	}
	ruled := func(seq uint64, r policy.Ruling) Consulted {
		return Consulted{Key: dots.MitigationKey{Client: dots.Client{Name: "a", CUID: "c", CDID: "d"}, MID: 1}, Seq: seq, Ruling: r}
	}
	for _, step := range []struct {
		ev   Event
		want string
	}{
		{ask("guest", "192.0.2.1/32"), `mitigation refused client=guest cuid=c cdid=d mid=1 domain=lab targets=[192.0.2.1/32] code=4.01 reason=not authorised to ask for mitigation`},
		{ask("nobody", "192.0.2.1/32"), `mitigation refused client=nobody cuid=c cdid=d mid=1 domain= targets=[192.0.2.1/32] code=4.01 reason=not authorised to ask for mitigation`},
		{ask("a", "192.0.2.1/32"), ""},
		{ruled(1, policy.Ruling{Reason: "blocked"}), `mitigation refused client=a cuid=c cdid=d mid=1 domain=lab targets=[192.0.2.1/32] code=4.01 aaa=denied aaa_reason=blocked reason=not authorised`},
		{ask("a", "192.0.2.1/32"), ""},
		{ruled(2, policy.Ruling{Failed: true, Reason: "down"}), `mitigation refused client=a cuid=c cdid=d mid=1 domain=lab targets=[192.0.2.1/32] code=5.03 aaa=failed aaa_reason=down reason=no answer`},
		{ask("a", "192.0.2.1/32"), ""},
		{
			ruled(3, policy.Ruling{Allow: true}),
			`mitigation accepted client=a cuid=c cdid=d mid=1 domain=lab targets=[192.0.2.1/32] code=2.01 aaa=allowed aaa_reason= lifetime=3600 on_signal_loss=false uplink_up=false`,
		},
		{ask("a", "192.0.2.1/32"), `mitigation refreshed client=a cuid=c cdid=d mid=1 domain=lab targets=[192.0.2.1/32] code=2.04 lifetime=3600 efficacy=false`},
	} {
		var got []string
		for _, n := range c.Step(now, step.ev).Notes {
			line := n.Text
			for _, a := range n.All() {
				line += " " + a.Key + "=" + a.Value.Resolve().String()
			}
			got = append(got, line)
		}
		if strings.Join(got, "\n") != step.want {
			t.Errorf("%T:\n%s\nwant\n%s", step.ev, strings.Join(got, "\n"), step.want)
		}
	}
}

// TestAuditTargets writes a target as the log has it: as much of it as is useful.
func TestAuditTargets(t *testing.T) {
	all := dots.Target{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, FQDNs: []string{"www.example.com"}, URIs: []string{"https://example.com/"},
		Aliases: []string{"web"}, Ports: []dots.PortRange{{Lower: 80, Upper: 80}, {Lower: 1, Upper: 9}}, Protocols: []uint8{17},
	}
	if got, want := fmt.Sprint(targets(all).LogValue()), "[192.0.2.0/24 www.example.com https://example.com/ alias:web port:80 port:1-9 protocol:17]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	many := dots.Target{Protocols: make([]uint8, 40)}
	got := targets(many).LogValue().Any().([]string)
	if len(got) != maxLogged+1 || got[maxLogged] != "and 24 more" {
		t.Errorf("%q", got)
	}
	if v := slog.Any("targets", targets(many)).Value; v.Kind() != slog.KindLogValuer {
		t.Errorf("the text is made at once: %v", v.Kind())
	}
}

// TestAttributesMadeLaterAreWrittenAsOthers, and only made where the line is written.
func TestAttributesMadeLaterAreWrittenAsOthers(t *testing.T) {
	made := 0
	attrs := []slog.Attr{slog.String("client", "a"), slog.Uint64("mid", 7)}
	r := Ready{room: &room{}}
	r.note(slog.LevelInfo, "refreshed", attrs...)
	r.noteLater(slog.LevelInfo, "refreshed", func() []slog.Attr { made++; return attrs })
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelError} {
		var text strings.Builder
		g := Gateway{cfg: Config{Logger: slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))}}
		for i := range r.Notes {
			g.log(time.Now(), &r.Notes[i])
		}
		lines := strings.Split(text.String(), "\n")
		switch {
		case level == slog.LevelError && (text.Len() > 0 || made != 1):
			t.Errorf("not written, and yet %q, made %d times", text.String(), made)
		case level == slog.LevelInfo && (len(lines) != 3 || lines[0] != lines[1] || !strings.Contains(lines[0], `"client":"a","mid":7`)):
			t.Errorf("lines differ:\n%s", text.String())
		}
	}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
