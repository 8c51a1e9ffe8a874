package gateway

import (
	stdcmp "cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
)

var update = flag.Bool("update", false, "write what the scenarios give into their files")

// TestScenarios plays the files of testdata. A line without indentation is a command (or a comment after #), the indented
// lines below it are the expected trace. Every command is committed at once unless "manual" was said.
//
//	config [refuse] [nomirror] [per-client] [hide] [block=N] [asks=N] [names=N]     before anything else
//	       [mitigations=N] [cuids=N] [relay=KEY] [merge] [uplinks=A,B] [strategy=S] [farm] [owns=A:P,B:P] [fits=PREFIXES] [local]
//	       [activity] (tells who has active mitigations)
//	       [before=U] (mitigates for the domain itself, and recurses when exceeded) [nat=INSIDE:OUTSIDE]
//	put CLIENT MID TARGET... [life=N] [armed] [cuid=C] [cdid=D] [own=C] [efficacy=N] [update] [opt=KEY,KEY] [hop=N] [port=N]     TARGET: a prefix, name, URI or @alias
//	delete CLIENT MID [cuid=C] [cdid=D] / get CLIENT [MID] [cuid=C] [cdid=D]
//	answer MID CODE [life=N] [maxage=D] [cause=N] [cmid=N] [retry=N] [text=T] [rev=N] [g=N] [uplink=U] [redirect] [scope=P]
//	report MID=STATUS[:BYTES]... [cause=N] [scope=P] [retry=N] [complete] [g=N] [uplink=U]
//	resolved NAME [ADDRESS...] [ttl=D] [failed] / link up|down [uplink=U] / lost CLIENT / gone CLIENT D / back CLIENT [span=D] / advance D
//	ruled CLIENT MID allow|deny|failed [seq=N] [text=T] / drain UPLINK [off]
//	reload OTHER...     [uplinks=A,B] [prefix=P] [gone=CLIENT] [guest=CLIENT] [moved=CLIENT] [renamed] [consult]
//	manual / commit / fail [full] [kept] / auto / restart [after D] [lost] [uplinks=A,B] [rules OTHER...] / mids N / damage KIND TEXT
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(want), "RFC ") {
				t.Error("no rule is cited")
			}
			got := play(t, string(want))
			if again := play(t, string(want)); again != got {
				t.Fatalf("two runs differ:\n%s", cmp.Diff(got, again))
			}
			if *update {
				if err := os.WriteFile(f, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("trace (-want +got):\n%s", d)
			}
		})
	}
}

// play runs a file and returns it with the traces that its commands give.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var r *rig
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || line[0] == '#' {
			continue
		}
		c := parseCommand(line)
		if c.verb == "config" || r == nil {
			r = newRig(t, c.config(t))
			r.activity = c.has("activity")
		}
		r.lines = nil
		if c.verb != "config" {
			r.run(c)
			r.check()
		}
		for _, l := range r.lines {
			fmt.Fprintln(&out, "    "+l)
		}
	}
	return out.String()
}

// command is a line of a scenario.
type command struct {
	line, verb string
	args       []string
	opts       map[string]string
}

func parseCommand(line string) command {
	words := strings.Fields(line)
	c := command{line: line, verb: words[0], opts: map[string]string{}}
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		if _, err := strconv.Atoi(k); ok && err != nil {
			c.opts[k] = v
		} else {
			c.args = append(c.args, w)
		}
	}
	return c
}

func (c command) has(flag string) bool { return slices.Contains(c.args, flag) }

func (c command) num(key string) int {
	n, err := strconv.Atoi(c.opts[key])
	if err != nil && c.opts[key] != "" {
		panic(c.line)
	}
	return n
}

func number(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func duration(s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func (c command) config(t testing.TB) CoreConfig {
	cfg := CoreConfig{}
	if c.verb != "config" {
		return cfg
	}
	if c.has("refuse") {
		cfg.WhenDown = WhenDownRefuse
	}
	cfg.NoMirror, cfg.HideTopology = c.has("nomirror"), c.has("hide")
	cfg.Unmirrored = map[string]bool{"up": c.has("unmirrored"), "other": true}
	cfg.MIDBlock = uint32(c.num("block"))
	cfg.MaxAskingOf, cfg.MaxNamesOf = c.num("asks"), c.num("names")
	up := policy.Uplink{Name: "up", CUIDMode: policy.CUIDAggregate}
	if c.has("per-client") {
		up.CUIDMode = policy.CUIDPerClient
	}
	if key := c.num("relay"); key != 0 {
		up.RelayOptional = []uint64{uint64(key)}
	}
	cfg.Policy = testPolicyFor(t, func(p *policy.Config) {
		p.Uplinks = c.uplinks(up)
		p.Defaults = policy.Defaults{MaxMitigations: c.num("mitigations"), MaxCUIDs: c.num("cuids")}
		d := &p.Domains[0]
		d.Consult = c.has("consult")
		if c.has("merge") {
			d.OnOverlap = policy.OverlapMerge
		}
		d.Strategy = policy.Strategy(c.opts["strategy"])
		for i := range p.Domains {
			if p.Domains[i].Uplinks = c.to(p.Uplinks); c.has("local") {
				p.Domains[i].Uplinks, p.Domains[i].Mitigators = nil, c.to(p.Uplinks)
			}
		}
		c.inFront(p, up)
		if c.has("farm") {
			p.Farms = []policy.Farm{{Name: "farm", Members: c.to(p.Uplinks)}}
			d.Uplinks, p.Domains[1].Uplinks = []string{"farm"}, []string{"farm"}
		}
		if n := c.num("rate"); n != 0 {
			d.Limits.RequestsPerMinute = dots.Some(n)
		}
		if n := c.num("newcuids"); n != 0 {
			d.Limits.NewCUIDsPerHour = dots.Some(n)
		}
	})
	if n := c.num("fits"); n != 0 {
		cfg.Fits = func(_ string, l dots.Leg) bool { return len(l.Request.Target.Prefixes) <= n }
	}
	return cfg
}

// uplinks lists those of a config: up, unless it names others, each with the prefix that it owns.
func (c command) uplinks(up policy.Uplink) []policy.Uplink {
	names := strings.Split(stdcmp.Or(c.opts["uplinks"], up.Name), ",")
	owns := map[string][]netip.Prefix{}
	for pair := range strings.SplitSeq(c.opts["owns"], ",") {
		if name, prefix, ok := strings.Cut(pair, ":"); ok {
			owns[name] = append(owns[name], netip.MustParsePrefix(prefix))
		}
	}
	var list []policy.Uplink
	for _, n := range names {
		one := up
		one.Name, one.Prefixes, one.Local = n, owns[n], c.has("local")
		list = append(list, one)
	}
	return list
}

// inFront puts what a config says between the domain lab and its uplinks: a local mitigator, or a translation of addresses.
func (c command) inFront(p *policy.Config, up policy.Uplink) {
	d := &p.Domains[0]
	if name := c.opts["before"]; name != "" {
		up.Name, up.Local = name, true
		p.Uplinks = append(p.Uplinks, up)
		d.Mitigators, d.Recursion = []string{name}, policy.Recursion{OnExceeded: true, Low: 0.5, Hold: time.Minute}
	}
	if inside, outside, ok := strings.Cut(c.opts["nat"], ":"); ok {
		d.NAT = []policy.Mapping{{Inside: netip.MustParsePrefix(inside), Outside: netip.MustParsePrefix(outside)}}
	}
}

// conflict is what a line says of one.
func (c command) conflict() dots.Conflict {
	x := dots.Conflict{Cause: dots.ConflictCause(c.num("cause")), RetryTimer: uint32(c.num("retry"))}
	if s := c.opts["scope"]; s != "" {
		x.Scope.Prefixes = []netip.Prefix{netip.MustParsePrefix(s)}
	}
	return x
}

// to names uplinks.
func (c command) to(uplinks []policy.Uplink) []string {
	var names []string
	for _, u := range uplinks {
		names = append(names, u.Name)
	}
	return names
}

func (c command) client() dots.Client {
	cl := dots.Client{Name: c.args[0], CUID: "cuid-" + c.args[0]}
	if s := c.opts["cuid"]; s != "" {
		cl.CUID = s
	}
	cl.CDID = c.opts["cdid"]
	return cl
}

func (c command) key() dots.MitigationKey {
	return dots.MitigationKey{Client: c.client(), MID: number(c.args[1])}
}

// run plays one command.
func (r *rig) run(c command) {
	switch c.verb {
	case "put":
		r.step(Mitigate{r.ticket(c.label()), c.ask()})
	case "delete":
		r.step(Withdraw{r.ticket(c.label()), c.key()})
	case "get":
		in := Inspect{Ticket: r.ticket(c.label()), Client: c.client()}
		if len(c.args) > 1 {
			in.MID = dots.Some(number(c.args[1]))
		}
		r.step(in)
	case "answer":
		r.step(Answered{r.answer(c)})
	case "report":
		r.step(r.report(c))
	case "resolved":
		r.step(c.resolved())
	case "link":
		if uplink := stdcmp.Or(c.opts["uplink"], r.uplink); c.has("up") {
			r.step(LinkUp{uplink})
		} else {
			r.step(LinkDown{uplink, "test"})
		}
	case "lost":
		r.step(ClientGone{Client: c.args[0]})
	case "gone":
		r.step(ClientGone{Client: c.args[0], In: duration(c.args[1])})
	case "back":
		r.step(ClientBack{Client: c.args[0], Span: duration(c.opts["span"])})
	case "advance":
		r.advance(duration(c.args[0]))
	case "ruled":
		ev := Consulted{Key: c.key(), Seq: r.consults[c.key()].Seq, Ruling: policy.Ruling{Allow: c.has("allow"), Failed: c.has("failed"), Reason: c.opts["text"]}}
		if n := c.num("seq"); n != 0 {
			ev.Seq = uint64(n)
		}
		r.step(ev)
	case "reload":
		r.reload(c)
	case "drain":
		r.step(Drain{r.ticket(c.label()), c.args[0], !c.has("off")})
	default:
		r.runDisk(c)
	}
}

// runDisk plays a command that concerns the disk.
func (r *rig) runDisk(c command) {
	switch c.verb {
	case "manual":
		r.manual = true
	case "auto":
		r.manual = false
		r.commit()
	case "commit":
		r.commit()
	case "fail":
		r.fail(c.has("full"), c.has("kept"))
	case "restart":
		r.restart(c)
	case "mids":
		for id := range r.disk {
			if id.kind == kindCounter {
				r.disk[id] = encode(counterRecord{number(c.args[0])})
			}
		}
	case "damage":
		r.damage(store.Kind(c.args[0]), c.args[1])
	default:
		r.t.Fatalf("unknown command %q", c.line)
	}
}

// damage puts a text in place of all records of a kind; one of an unknown kind is made.
func (r *rig) damage(kind store.Kind, text string) {
	r.damaged = true
	n := 0
	for id := range r.disk {
		if id.kind == kind {
			r.disk[id] = []byte(text)
			n++
		}
	}
	if n == 0 {
		r.disk[identity{kind, "made"}] = []byte(text)
	}
}

// restart starts the core again.
func (r *rig) restart(c command) {
	if i := slices.Index(c.args, "after"); i >= 0 {
		r.now = r.now.Add(duration(c.args[i+1]))
	}
	if c.has("lost") {
		clear(r.disk)
	}
	if c.has("rules") || c.opts["uplinks"] != "" {
		r.cfg.Policy = r.otherPolicy(c)
	}
	r.boot()
}

// reload changes the rules.
func (r *rig) reload(c command) {
	r.cfg.Policy = r.otherPolicy(c)
	r.step(Reload{Ticket: r.ticket("reload"), Rules: Rules{Policy: r.cfg.Policy, Identities: r.cfg.Identities, Unmirrored: r.cfg.Unmirrored}})
}

// otherPolicy is a policy with what a command says: uplinks, the prefix of the domain lab, a client that is gone, a guest, a client that moved
// to the domain other.
func (r *rig) otherPolicy(c command) *policy.Policy {
	return testPolicyFor(r.t, func(p *policy.Config) {
		if names := c.opts["uplinks"]; names != "" {
			p.Uplinks = nil
			for r.uplink = range strings.SplitSeq(names, ",") {
				p.Uplinks = append(p.Uplinks, policy.Uplink{Name: r.uplink})
			}
			for i := range p.Domains {
				p.Domains[i].Uplinks = []string{r.uplink}
			}
		}
		lab, other := &p.Domains[0], &p.Domains[1]
		lab.Consult = c.has("consult")
		if c.has("renamed") {
			lab.Name = "renamed"
		}
		if s := c.opts["prefix"]; s != "" {
			lab.Prefixes, lab.Aliases = []netip.Prefix{netip.MustParsePrefix(s)}, nil
		}
		for i := 0; i < len(lab.Clients); i++ {
			switch e := &lab.Clients[i]; e.Name {
			case c.opts["guest"]:
				e.Guest = true
			case c.opts["moved"]:
				other.Clients = append(other.Clients, *e)
				lab.Clients = slices.Delete(lab.Clients, i, i+1)
				i--
			case c.opts["gone"]:
				lab.Clients = slices.Delete(lab.Clients, i, i+1)
				i--
			}
		}
	})
}

func (c command) label() string {
	words := []string{c.verb}
	return strings.Join(append(words, c.args[:min(2, len(c.args))]...), " ")
}

func (c command) ask() dots.Ask {
	ask := dots.Ask{Client: c.client(), HopLimit: 15, Update: c.has("update"), OwnCUID: c.opts["own"]}
	ask.Request = dots.Request{MID: number(c.args[1]), Lifetime: dots.Some(dots.Lifetime(3600)), OnSignalLoss: c.has("armed")}
	if _, ok := c.opts["life"]; ok {
		ask.Request.Lifetime = dots.Some(dots.Lifetime(c.num("life")))
	}
	if n := c.num("efficacy"); n != 0 {
		ask.Efficacy = true
		ask.Request.Attack = dots.AttackStatus(n)
	}
	if keys := c.opts["opt"]; keys != "" {
		for k := range strings.SplitSeq(keys, ",") {
			ask.Request.Optional = append(ask.Request.Optional, dots.Raw{Key: uint64(number(k)), Value: []byte{1}})
		}
	}
	ask.Request.Target = c.target()
	if n := c.num("hop"); n != 0 {
		ask.HopLimit = uint8(n)
	}
	if n := c.num("port"); n != 0 {
		ask.Request.Target.Ports = []dots.PortRange{{Lower: uint16(n), Upper: uint16(n)}}
	}
	return ask
}

// target is what a put asks to protect.
func (c command) target() dots.Target {
	var t dots.Target
	for _, a := range c.args[2:] {
		if p, err := netip.ParsePrefix(a); err == nil {
			t.Prefixes = append(t.Prefixes, p)
		} else if alias, ok := strings.CutPrefix(a, "@"); ok {
			t.Aliases = append(t.Aliases, alias)
		} else if strings.Contains(a, "://") {
			t.URIs = append(t.URIs, a)
		} else if a != "armed" && a != "update" {
			t.FQDNs = append(t.FQDNs, a)
		}
	}
	return t
}

// scope is the cuid of ours that a command means; the first unless it says g=N.
func (r *rig) scope(c command) string {
	if len(r.cuids) == 0 {
		return "none"
	}
	return r.cuids[max(c.num("g"), 1)-1]
}

func (r *rig) answer(c command) dots.LegAnswer {
	key := dots.LegKey{Uplink: stdcmp.Or(c.opts["uplink"], r.uplink), CUID: r.scope(c), MID: number(c.args[0])}
	l, ok := r.wanted[key]
	if !ok {
		r.say("(the uplink was never asked for it)")
	}
	class, detail, _ := strings.Cut(c.args[1], ".")
	a := dots.LegAnswer{
		Key: key, Revision: l.Revision, Withdraw: l.Withdraw, Text: c.opts["text"], MaxAge: duration(c.opts["maxage"]),
		Redirected: c.has("redirect"),
		Code:       dots.Code(number(class)<<5 | number(detail)),
	}
	if n := c.num("rev"); n != 0 {
		a.Revision = uint64(n)
	}
	if n := c.num("life"); n != 0 {
		a.Lifetime = dots.Some(dots.Lifetime(n))
	}
	if n := c.num("cause"); n != 0 {
		a.Conflict = dots.Some(c.conflict())
		if m := c.num("cmid"); m != 0 {
			a.Conflict.Value.MID = dots.Some(uint32(m))
		}
	}
	return a
}

func (r *rig) report(c command) Reported {
	ev := Reported{Uplink: stdcmp.Or(c.opts["uplink"], r.uplink), CUID: r.scope(c), Complete: c.has("complete")}
	for _, a := range c.args {
		mid, status, ok := strings.Cut(a, "=")
		if !ok {
			continue
		}
		status, bytes, ok := strings.Cut(status, ":")
		rep := dots.Report{MID: number(mid), Status: dots.Status(number(status)), Lifetime: 600}
		if ok {
			rep.Counters.BytesDropped = dots.Some(uint64(number(bytes)))
		}
		if c.num("cause") != 0 {
			rep.Conflict = dots.Some(c.conflict())
			rep.Conflict.Value.Status = dots.ConflictOtherActive
		}
		ev.Reports = append(ev.Reports, rep)
	}
	return ev
}

func (c command) resolved() Resolved {
	ev := Resolved{Name: c.args[0], TTL: duration(c.opts["ttl"]), Failed: c.has("failed")}
	for _, a := range c.args[1:] {
		if addr, err := netip.ParseAddr(a); err == nil {
			ev.Addresses = append(ev.Addresses, addr)
		}
	}
	return ev
}
