package hook

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// The JSON is a contract with programs of others: it is compared as it is written.
func TestMessageAsWritten(t *testing.T) {
	const want = `{"version":1,"action":"start","request":"R","id":"I","mitigation":{"prefixes":["192.0.2.0/24","2001:db8::1/128"],` +
		`"fqdns":["www.example.net"],"uris":["https://www.example.net/"],"ports":[{"lower":80,"upper":80},{"lower":8000,"upper":8100}],` +
		`"protocols":[6,17],"lifetime":1800}}`
	got, err := json.Marshal(message{Version: version, Action: actionStart, Request: "R", ID: "I", Mitigation: mitigationOf(aLeg(1))})
	if err != nil || string(got) != want {
		t.Fatalf("wrote %s, %v", got, err)
	}
	endless := aLeg(1)
	endless.Request = dots.Request{Lifetime: dots.Some(dots.Indefinite)}
	if got, _ := json.Marshal(mitigationOf(endless)); string(got) != `{"lifetime":-1}` {
		t.Errorf("wrote %s", got)
	}
	got, _ = json.Marshal(message{Version: version, Action: actionStatus, Request: "R", IDs: []string{"I", "J"}})
	if string(got) != `{"version":1,"action":"status","request":"R","ids":["I","J"]}` {
		t.Errorf("wrote %s", got)
	}
}

func TestParseAnswer(t *testing.T) {
	n := func(v uint64) *uint64 { return &v }
	for _, tt := range []struct {
		name, text string
		want       answer
		bad        bool
	}{
		{name: "nothing", text: ""},
		{name: "white space", text: " \r\n"},
		{name: "an empty object", text: "{}"},
		{
			name: "of one", text: `{"status":"mitigated","counters":{"bytes":18446744073709551615,"packets_per_second":0}}`,
			want: answer{state: state{Status: "mitigated", Counters: counters{Bytes: n(1<<64 - 1), PktsPerSecond: n(0)}}},
		},
		{
			name: "of many", text: `{"mitigations":[{"id":"a","status":"exceeded","start":5},{"id":"b"}],"new":[1]}`,
			want: answer{Mitigations: []state{{ID: "a", Status: "exceeded", Start: 5}, {ID: "b"}}},
		},
		{
			name: "refused", text: `{"refused":{"code":"5.03","message":"full","retry_after":60}}`,
			want: answer{Refused: &refusal{Code: "5.03", Message: "full", RetryAfter: 60}},
		},
		{name: "no JSON", text: "OK", bad: true},
		{name: "a list", text: "[]", bad: true},
		{name: "two", text: "{}{}", bad: true},
		{name: "cut short", text: `{"status":"miti`, bad: true},
		{name: "a status that is none", text: `{"status":"fine"}`, bad: true},
		{name: "a client's status", text: `{"status":"armed"}`, bad: true},
		{name: "a client's status in a list", text: `{"mitigations":[{"id":"a","status":"client-withdrawn"}]}`, bad: true},
		{name: "a negative counter", text: `{"counters":{"bytes":-1}}`, bad: true},
		{name: "a code that is none", text: `{"refused":{"code":"2.01"}}`, bad: true},
		{name: "too long", text: strings.Repeat(" ", maxAnswer+1), bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseAnswer([]byte(tt.text))
			if (err != nil) != tt.bad {
				t.Fatalf("error %v", err)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(answer{})); d != "" {
				t.Fatalf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestRefusalInOurWords(t *testing.T) {
	for _, tt := range []struct {
		from refusal
		want dots.Error
	}{
		{refusal{}, dots.Error{Code: dots.CodeBadRequest, Text: "refused by the mitigator"}},
		{refusal{Code: "4.00", Message: " no such\tnetwork\nat all", RetryAfter: 9}, dots.Error{Code: dots.CodeBadRequest, Text: "no such?network"}},
		{refusal{Code: "5.03", Message: "f\u00fcll", RetryAfter: 9}, dots.Error{Code: dots.CodeUnavailable, Text: "f?ll", MaxAge: 9 * time.Second}},
		{
			refusal{Code: "5.03", Message: strings.Repeat("x", 70), RetryAfter: 1 << 31},
			dots.Error{Code: dots.CodeUnavailable, Text: strings.Repeat("x", 64), MaxAge: 24 * time.Hour},
		},
	} {
		if d := cmp.Diff(&tt.want, tt.from.error()); d != "" {
			t.Errorf("%+v (-want +got)\n%s", tt.from, d)
		}
	}
}

func TestIdentity(t *testing.T) {
	i := newIdentity("node 1", "scrub")
	k := aLeg(77).Key
	id := i.id(k)
	if back, ok := i.key(id); !ok || back != k {
		t.Errorf("%s is %+v, %v", id, back, ok)
	}
	if again := newIdentity("node 1", "scrub").id(k); again != id {
		t.Errorf("%s, and then %s", id, again)
	}
	for _, other := range []identity{newIdentity("node 2", "scrub"), newIdentity("node 1", "bgp"), newIdentity("node 1scrub", "")} {
		if _, ok := other.key(id); ok {
			t.Errorf("%s is taken for another's own", id)
		}
	}
	for _, bad := range []string{"", "..", id + "0.", id + ".1", i.scope + ".!.1", i.scope + ".ZA.-1", i.scope + ".ZA.4294967296", i.scope + ".ZA.01", i.scope + ".ZA"} {
		if k, ok := i.key(bad); ok {
			t.Errorf("%q is taken for %+v", bad, k)
		}
	}
	if strings.ContainsAny(i.id(dots.LegKey{CUID: "a/b?c#\n"}), "/?#\n&%") {
		t.Error("an ID does not fit a URL")
	}
}

// scripted is a carrier that answers what the test says.
type scripted struct {
	asked   []string
	answers []answer
	err     error
}

func (s *scripted) open() error { return nil }
func (s *scripted) close()      {}

func (s *scripted) ask(_ context.Context, m message) (answer, error) {
	s.asked = append(s.asked, m.Action+" "+m.ID+strings.Join(m.IDs, " "))
	if m.Version != 1 || len(m.Request) < 20 {
		s.err = errors.New("message lacks its version or its request")
	}
	if s.err != nil || len(s.answers) == 0 {
		return answer{}, s.err
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	return refusedOr(a, nil)
}

func (s *scripted) status(ctx context.Context, m *Mitigator, keys []dots.LegKey) ([]upstream.LegReport, error) {
	a, err := s.ask(ctx, newMessage(message{Action: actionStatus, IDs: []string{"x"}}))
	return m.reports(a, keys), err
}

// What is in force is changed, what is not is started; what comes with an answer is told by Status, once.
func TestActions(t *testing.T) {
	s := &scripted{}
	i := newIdentity("", "scrub")
	m := newMitigator(i, s)
	ctx := t.Context()
	one, two, three := aLeg(1), aLeg(2), aLeg(3)
	s.answers = []answer{{Mitigations: []state{
		{ID: i.id(one.Key), Status: "mitigated"}, {ID: i.id(one.Key)}, {ID: "foreign"}, {ID: i.id(three.Key), Status: "terminated"},
	}}}
	keys, err := m.Open(ctx)
	if err != nil || len(keys) != 1 || keys[0] != one.Key {
		t.Fatalf("opened with %v, %v", keys, err)
	}
	s.answers = []answer{{}, {state: state{Status: "exceeded"}}, {}}
	for _, l := range []dots.Leg{one, two, two} {
		if err := m.Start(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	s.answers = []answer{{Mitigations: []state{{ID: i.id(two.Key), Status: "attack-stopped"}, {ID: i.id(three.Key), Status: "mitigated"}, {ID: i.id(one.Key)}}}}
	told, err := m.Status(ctx, []dots.LegKey{one.Key, two.Key})
	want := []upstream.LegReport{
		{Key: one.Key, Report: dots.Report{Status: dots.StatusMitigated}},
		{Key: two.Key, Report: dots.Report{Status: dots.StatusExceeded}},
		{Key: two.Key, Report: dots.Report{Status: dots.StatusStopped}},
	}
	if d := cmp.Diff(want, told); d != "" || err != nil {
		t.Fatalf("told, %v (-want +got)\n%s", err, d)
	}
	if told, err := m.Status(ctx, []dots.LegKey{one.Key, two.Key}); err != nil || len(told) != 0 {
		t.Fatalf("told again %v, %v", told, err)
	}
	s.answers = []answer{{Refused: &refusal{Code: "5.03"}}}
	if err := m.Stop(ctx, two.Key); dots.AsError(err).Code != dots.CodeUnavailable {
		t.Fatalf("got %v", err)
	}
	for _, f := range []func() error{
		func() error { return m.Start(ctx, two) }, func() error { return m.Stop(ctx, two.Key) }, func() error { return m.Start(ctx, two) },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	id1, id2 := i.id(one.Key), i.id(two.Key)
	asked := []string{"list ", "change " + id1, "start " + id2, "change " + id2, "status x", "status x", "stop " + id2, "change " + id2, "stop " + id2, "start " + id2}
	if d := cmp.Diff(asked, s.asked); d != "" {
		t.Fatalf("asked (-want +got)\n%s", d)
	}
}

// Who cannot tell what is in force knows of nothing; who cannot be asked is not there.
func TestOpening(t *testing.T) {
	s := &scripted{answers: []answer{{Refused: &refusal{}}}}
	m := newMitigator(newIdentity("", "scrub"), s)
	if keys, err := m.Open(t.Context()); err != nil || keys != nil {
		t.Errorf("opened with %v, %v", keys, err)
	}
	s.err = errors.New("not there")
	if _, err := m.Open(t.Context()); !errors.Is(err, s.err) {
		t.Errorf("got %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzAnswer: whatever a receiver says, an answer has only what it may have, and can be written and read again.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"status":"mitigated"}`, `{"mitigations":[{"id":"a","status":"withdrawn","counters":{"bytes":1}}]}`,
		`{"refused":{"code":"5.03","message":"x\u0000","retry_after":4294967295}}`, `{"start":18446744073709551615}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		for _, s := range append([]state{a.state}, a.Mitigations...) {
			if r, err := s.report(); err != nil || r.Status == dots.StatusSignalLossArmed || r.Status == dots.StatusClientWithdrawn {
				t.Fatalf("state %+v: %+v, %v", s, r, err)
			}
		}
		if a.Refused != nil {
			e := a.Refused.error()
			if len(e.Text) > dots.MaxDiagnostic || e.Text == "" || e.Code != dots.CodeBadRequest && e.Code != dots.CodeUnavailable || e.MaxAge > maxDelay {
				t.Fatalf("refusal %+v", e)
			}
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseAnswer(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if d := cmp.Diff(a, back, cmp.AllowUnexported(answer{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
