package metrics

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// series returns every series of one metric as "label=value,...": value, as a scrape would show it. Of a histogram
// the value is the number of observations.
func series(t *testing.T, m *Metrics, name string) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, metric := range f.GetMetric() {
			parts := make([]string, 0, len(metric.GetLabel()))
			for _, l := range metric.GetLabel() {
				parts = append(parts, l.GetName()+"="+l.GetValue())
			}
			got[strings.Join(parts, ",")] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() +
				float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func expect(t *testing.T, m *Metrics, name string, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, series(t, m, name)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

func TestSessions(t *testing.T) {
	m := New(Config{})
	m.SessionOpened(Downstream, DTLS)
	m.SessionOpened(Downstream, DTLS)
	m.SessionOpened(Downstream, TLS)
	m.SessionOpened(Uplink, TLS)
	m.SessionClosed(Downstream, DTLS)
	m.SessionClosed(Uplink, TLS)
	expect(t, m, NameSessions, map[string]float64{
		"side=downstream,transport=dtls": 1,
		"side=downstream,transport=tls":  1,
		"side=uplink,transport=dtls":     0,
		"side=uplink,transport=tls":      0,
	})
}

func TestRequests(t *testing.T) {
	m := New(Config{})
	if got := series(t, m, NameRequests); len(got) != 0 {
		t.Errorf("requests before any: %v", got)
	}
	m.Request(Downstream, MethodPut, dots.CodeCreated)
	m.Request(Downstream, MethodPut, dots.CodeCreated)
	m.Request(Downstream, MethodGet, dots.CodeSilent)
	m.Request(Uplink, MethodDelete, dots.CodeDeleted)
	m.Request(Uplink, Method(5), dots.Code(4<<5|29))
	expect(t, m, NameRequests, map[string]float64{
		"code=2.01,method=put,side=downstream":   2,
		"code=silent,method=get,side=downstream": 1,
		"code=2.02,method=delete,side=uplink":    1,
		"code=4.xx,method=other,side=uplink":     1,
	})
}

// TestMethods: RFC 7252, Section 12.1.1 gives the numbers.
func TestMethods(t *testing.T) {
	for n, want := range []string{"other", "get", "post", "put", "delete", "other"} {
		if got := Method(n).String(); got != want {
			t.Errorf("method %d is %q, want %q", n, got, want)
		}
	}
}

// TestCodesAreBounded shows that a peer cannot make series: 256 codes give a few dozen labels.
func TestCodesAreBounded(t *testing.T) {
	got := map[string]bool{}
	for c := range 256 {
		got[codeLabel(dots.Code(c))] = true
	}
	if len(got) > 32 {
		t.Errorf("%d labels for codes", len(got))
	}
	for _, want := range []string{"silent", "2.04", "3.00", "4.09", "5.08", "4.xx", "5.xx", "7.xx"} {
		if !got[want] {
			t.Errorf("no label %s", want)
		}
	}
}

func TestMitigations(t *testing.T) {
	m := New(Config{})
	m.SetMitigations(map[dots.Status]int{dots.StatusInProgress: 4, dots.StatusMitigated: 7})
	m.SetMitigations(map[dots.Status]int{dots.StatusMitigated: 5, dots.StatusSignalLossArmed: 1, dots.Status(99): 3})
	expect(t, m, NameMitigations, map[string]float64{
		"status=in-progress": 0, "status=mitigated": 5, "status=attack-stopped": 0, "status=exceeded": 0,
		"status=client-withdrawn": 0, "status=terminated": 0, "status=withdrawn": 0, "status=armed": 1,
	})
}

func TestUplinks(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	expect(t, m, NameUplinkUp, map[string]float64{"uplink=a": 0, "uplink=b": 0})

	m.SetUplinkUp("a", true)
	m.SetUplinkUp("stranger", true)
	m.SetLegs("a", map[LegState]int{LegPlaced: 3, LegWanted: 1})
	m.SetLegs("a", map[LegState]int{LegPlaced: 4})
	expect(t, m, NameUplinkUp, map[string]float64{"uplink=a": 1, "uplink=b": 0, "uplink=other": 1})
	expect(t, m, NameLegs, map[string]float64{
		"state=wanted,uplink=a": 0, "state=placed,uplink=a": 4, "state=refused,uplink=a": 0,
		"state=withdrawing,uplink=a": 0,
	})

	m.SetUplinkUp("stranger", false)
	m.SetUplinks([]string{"b", "c"})
	expect(t, m, NameUplinkUp, map[string]float64{"uplink=b": 0, "uplink=c": 0, "uplink=other": 0})
	expect(t, m, NameLegs, map[string]float64{})
}

// TestOldestReports holds that an uplink of which nothing is told is at 0 (again), and that only configured names are labels.
func TestOldestReports(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	expect(t, m, NameOldestReport, map[string]float64{"uplink=a": 0, "uplink=b": 0})
	m.SetOldestReports(map[string]time.Duration{"a": 1500 * time.Millisecond, "b": time.Hour, "stranger": time.Minute})
	expect(t, m, NameOldestReport, map[string]float64{"uplink=a": 1.5, "uplink=b": 3600})
	m.SetOldestReports(map[string]time.Duration{"b": time.Second})
	expect(t, m, NameOldestReport, map[string]float64{"uplink=a": 0, "uplink=b": 1})
	m.SetUplinks([]string{"b", "c"})
	expect(t, m, NameOldestReport, map[string]float64{"uplink=b": 1, "uplink=c": 0})
}

func TestSetUplinksKeepsWhatStays(t *testing.T) {
	m := New(Config{Uplinks: []string{"a"}})
	m.SetUplinkUp("a", true)
	m.SetUplinks([]string{"a", "b"})
	expect(t, m, NameUplinkUp, map[string]float64{"uplink=a": 1, "uplink=b": 0})
}

func TestSuspects(t *testing.T) {
	m := New(Config{Uplinks: []string{"a", "b"}})
	m.SetUplinkSuspect("a", true)
	m.SetUplinkSuspect("stranger", true)
	expect(t, m, NameUplinkSuspect, map[string]float64{"uplink=a": 1, "uplink=b": 0, "uplink=other": 1})
	m.SetUplinkSuspect("stranger", false)
	m.SetUplinks([]string{"b", "c"})
	expect(t, m, NameUplinkSuspect, map[string]float64{"uplink=b": 0, "uplink=c": 0, "uplink=other": 0})
}

func TestHeartbeats(t *testing.T) {
	m := New(Config{})
	m.HeartbeatMissed(Uplink)
	m.HeartbeatMissed(Uplink)
	expect(t, m, NameHeartbeatsMissed, map[string]float64{"side=downstream": 0, "side=uplink": 2})
}

func TestCommits(t *testing.T) {
	m := New(Config{})
	m.Committed(2*time.Millisecond, 64, nil)
	m.Committed(3*time.Second, 1, nil)
	m.Committed(time.Second, 1, errors.New("the disk is full"))
	expect(t, m, NameCommitSeconds, map[string]float64{"": 2})
	expect(t, m, NameCommitBatches, map[string]float64{"": 2})
	expect(t, m, NameCommitFailures, map[string]float64{"": 1})
}

func TestNotifications(t *testing.T) {
	m := New(Config{})
	m.Observers(1)
	m.Observers(1)
	m.Observers(-1)
	m.ObserverRefused()
	m.Notified(dots.CodeContent)
	m.Notified(dots.CodeContent)
	m.Notified(dots.CodeNotFound)
	m.SessionLost(Downstream)
	m.SessionDisowned()
	expect(t, m, NameSessionsDisowned, map[string]float64{"": 1})
	expect(t, m, NameObservers, map[string]float64{"": 1})
	expect(t, m, NameObserversRefused, map[string]float64{"": 1})
	expect(t, m, NameNotifications, map[string]float64{"code=2.05": 2, "code=4.04": 1})
	expect(t, m, NameSessionsLost, map[string]float64{"side=downstream": 1, "side=uplink": 0})
}

// TestCommitBuckets shows that both a fast and a very slow disk can be read from the histogram.
func TestCommitBuckets(t *testing.T) {
	m := New(Config{})
	m.Committed(300*time.Microsecond, 1, nil)
	m.Committed(3*time.Second, 1500, nil)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string][]uint64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, b := range metric.GetHistogram().GetBucket() {
				counts[f.GetName()] = append(counts[f.GetName()], b.GetCumulativeCount())
			}
		}
	}
	for _, name := range []string{NameCommitSeconds, NameCommitBatches} {
		c := counts[name]
		if len(c) == 0 || c[len(c)-1] != 2 {
			t.Errorf("%s: the largest bucket does not hold both: %v", name, c)
		}
		if mid := len(c) / 2; len(c) > 0 && c[mid] != 1 {
			t.Errorf("%s: the middle bucket does not tell them apart: %v", name, c)
		}
	}
}

func TestMailbox(t *testing.T) {
	m := New(Config{MailboxCapacity: 1024})
	m.Mailbox(900)
	m.Mailbox(17)
	m.Refused("mitigate")
	m.Refused("inspect")
	m.Refused("inspect")
	m.Refused("what a peer\nsays")
	expect(t, m, NameMailboxDepth, map[string]float64{"": 17})
	expect(t, m, NameMailboxCapacity, map[string]float64{"": 1024})
	expect(t, m, NameMailboxRefusals, map[string]float64{"kind=mitigate": 1, "kind=inspect": 2, "kind=withdraw": 0, "kind=other": 1})
}

func TestResolutions(t *testing.T) {
	m := New(Config{})
	m.NameResolved(ResolvedFromCache)
	m.NameResolved(ResolutionInsecure)
	expect(t, m, NameResolutions, map[string]float64{
		"outcome=found": 0, "outcome=cached": 1, "outcome=not-found": 0, "outcome=timeout": 0,
		"outcome=insecure": 1, "outcome=failed": 0,
	})
}

func TestBuildInfo(t *testing.T) {
	got := series(t, New(Config{Version: "1.2.3"}), NameBuildInfo)
	if len(got) != 1 {
		t.Fatalf("got %v, want one series", got)
	}
	for l, v := range got {
		if !strings.Contains(l, "version=1.2.3") || !strings.Contains(l, "revision=unknown") || v != 1 {
			t.Errorf("got %s: %v", l, v)
		}
	}
}

// TestLabelsOutsideTheirSet shows that a number nobody defined becomes "other", not a new series and not a panic.
func TestLabelsOutsideTheirSet(t *testing.T) {
	for _, s := range []fmt.Stringer{Side(200), Transport(200), Method(200), LegState(200), Resolution(200)} {
		if got := s.String(); got != "other" {
			t.Errorf("%T(200) is %q", s, got)
		}
	}
}

func TestCoAPCounters(t *testing.T) {
	scrapes := 0
	m := New(Config{CoAP: func(s Side) CoAPCounters {
		if s == Uplink {
			return CoAPCounters{DatagramsIn: 9}
		}
		scrapes++
		return CoAPCounters{
			DatagramsIn: 1, DatagramsOut: 2, Malformed: 3, Duplicates: 4, Forgotten: 18, Retransmissions: 5, UnknownCritical: 6,
			ResetsIn: 7, ResetsOut: 70, Handshakes: 8, HandshakeFailures: 9, Recovered: 10, Timeouts: 11, Unexpected: 12,
			Refused: 13, WriteErrors: 14, Aborts: 15, SessionsRefused: 16,
		}
	}})
	expect(t, m, NameDatagrams, map[string]float64{
		"direction=in,side=downstream": 1, "direction=out,side=downstream": 2,
		"direction=in,side=uplink": 9, "direction=out,side=uplink": 0,
	})
	expect(t, m, NameResets, map[string]float64{
		"direction=in,side=downstream": 7, "direction=out,side=downstream": 70,
		"direction=in,side=uplink": 0, "direction=out,side=uplink": 0,
	})
	for name, want := range map[string]float64{
		NameMalformed: 3, NameDuplicates: 4, NameForgotten: 18, NameRetransmissions: 5, NameUnknownOptions: 6,
		NameHandshakes: 8, NameHandshakeFailures: 9, NameRecovered: 10,
		NameTimeouts: 11, NameUnexpected: 12, NameTablesFull: 13, NameWriteErrors: 14, NameAborts: 15, NameSessionsRefused: 16,
	} {
		expect(t, m, name, map[string]float64{"side=downstream": want, "side=uplink": 0})
	}
	if scrapes != 16 {
		t.Errorf("the counters were read %d times in 16 scrapes", scrapes)
	}
}

func TestTwoInOneProcess(t *testing.T) {
	a, b := New(Config{}), New(Config{})
	a.Committed(0, 1, errors.New("refused"))
	expect(t, a, NameCommitFailures, map[string]float64{"": 1})
	expect(t, b, NameCommitFailures, map[string]float64{"": 0})
}

func TestConcurrentUse(t *testing.T) {
	m := New(Config{Uplinks: []string{"a"}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				m.SetUplinkUp("a", true)
				m.SetUplinks([]string{"a", "b"})
				m.Request(Downstream, MethodGet, dots.CodeContent)
			}
		})
	}
	for range 20 {
		series(t, m, NameRequests)
	}
	wg.Wait()
	expect(t, m, NameRequests, map[string]float64{"code=2.05,method=get,side=downstream": 800})
}
