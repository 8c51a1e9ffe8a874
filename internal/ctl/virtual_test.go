package ctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// wireLink is one end of a link in memory that takes no time. While cut, it loses everything.
type wireLink struct {
	to     chan<- []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	cut    bool
	change func([]byte) []byte // of what is written; nil: nothing
}

func (l *wireLink) WriteRecord(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.change != nil {
		b = l.change(b)
	}
	if !l.cut {
		select {
		case l.to <- append([]byte(nil), b...):
		default: // lost
		}
	}
	return nil
}

func (l *wireLink) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wireLink) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

func (*wireLink) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (*wireLink) RemoteAddr() net.Addr { return &net.UDPAddr{} }
func (*wireLink) Reliable() bool       { return false }

// pair is a client and the session of the server that it speaks to, in virtual time.
type pair struct {
	conn   *Conn
	server *coap.Session
	up     *wireLink // of the client
	down   *wireLink // of the server
}

// newPair makes a pair whose parts end with the test.
func newPair(t *testing.T, handler coap.Handler) *pair {
	t.Helper()
	timers := coap.NewTimers()
	toServer, toClient := make(chan []byte, 64), make(chan []byte, 64)
	p := &pair{
		up:   &wireLink{to: toServer, closed: make(chan struct{})},
		down: &wireLink{to: toClient, closed: make(chan struct{})},
	}
	heart := NewHeart(rfc9132.New())
	session := func(link *wireLink, h coap.Handler) *coap.Session {
		s, err := coap.NewSession(coap.SessionConfig{
			Link: link, Timers: timers, Handler: h, Limits: coap.Limits{NotifyInterval: -1},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		return s
	}
	client := session(p.up, heart)
	p.server = session(p.down, handler)
	p.conn = &Conn{Client: NewClient(ClientConfig{Session: client, Profile: rfc9132.New(), CUID: "cuid"}), Heart: heart}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	feed := func(s *coap.Session, in <-chan []byte) {
		group.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case b := <-in:
					s.Input(b)
				}
			}
		})
	}
	group.Go(func() { _ = timers.Run(ctx) })
	feed(client, toClient)
	feed(p.server, toServer)
	t.Cleanup(func() {
		stop()
		group.Wait()
	})
	return p
}

// seen is a request that a fake server got.
type seen struct {
	at   time.Duration
	what string
}

// fake is a server that answers as it is told.
type fake struct {
	began time.Time

	mu       sync.Mutex
	got      []seen
	reports  []dots.Report
	observer *coap.Observer
	mute     bool
}

func (f *fake) ServeCoAP(ex *coap.Exchange) {
	m := ex.Request()
	req, err := rfc9132.New().DecodeRequest(carry.Request(m))
	f.mu.Lock()
	defer f.mu.Unlock()
	what := m.Code.String() + " " + m.Options.Path()[2]
	switch {
	case err != nil:
		what += " " + err.Error()
	case req.Op == wire.PutHeartbeat:
		what += fmt.Sprint(" ", req.PeerHB)
	case req.Efficacy:
		what += fmt.Sprint(" efficacy ", req.Mitigation.Attack)
	case req.Observe.Set:
		what += fmt.Sprint(" observe ", req.Observe.Value)
	}
	f.got = append(f.got, seen{time.Since(f.began), what})
	if f.mute {
		ex.Silence()
		return
	}
	if req.Op == wire.PutHeartbeat {
		ex.Respond(&coap.Message{Code: coap.Changed})
		return
	}
	f.observer = ex.Observe(f.state(req), nil)
}

// state is the answer to a GET. The lock is held.
func (f *fake) state(req wire.Request) *coap.Message {
	if f.reports == nil {
		return &coap.Message{Code: coap.NotFound}
	}
	r, err := rfc9132.New().EncodeResponse(req, wire.Response{Code: dots.CodeContent, Reports: f.reports})
	if err != nil {
		panic(err)
	}
	m := &coap.Message{Code: coap.Code(r.Code), Payload: r.Payload}
	m.Options.AddUint(coap.ContentFormat, uint32(r.Format.Value))
	return m
}

// change tells the observer another state; none means that it is gone.
func (f *fake) change(reports ...dots.Report) {
	f.mu.Lock()
	f.reports = reports
	m, o := f.state(wire.Request{Op: wire.GetMitigations}), f.observer
	f.mu.Unlock()
	o.Notify(m)
}

func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for _, s := range f.got {
		lines = append(lines, fmt.Sprintf("%v %s", s.at, s.what))
	}
	return strings.Join(lines, "\n")
}

func report(mid uint32, status dots.Status) dots.Report {
	return dots.Report{MID: mid, Status: status, Lifetime: 60}
}

// TestBeat: RFC 9132, Section 4.7: a heartbeat each interval, which says whether those of the server come in.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now()}
		p := newPair(t, f)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		p.conn.interval = 20 * time.Second
		go func() { done <- p.conn.Keep(ctx) }()
		time.Sleep(70 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Keep() = %v", err)
		}
		want := "20s 0.03 hb true\n40s 0.03 hb true\n1m0s 0.03 hb false"
		if got := f.requests(); got != want {
			t.Errorf("the server got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestBeatUntilLost: RFC 9132, Section 4.7: the session is lost when missing-hb-allowed heartbeats in a row stay without
// an answer and nothing else is heard.
func TestBeatUntilLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now()}
		p := newPair(t, f)
		p.down.setCut(true)
		err := p.conn.Keep(t.Context())
		// The sixteenth heartbeat finds the silence longer than fifteen intervals once it is not answered either.
		const once = 3 * time.Second * 9 / 10
		if lasted := time.Since(f.began); lasted != 15*defaultInterval+once {
			t.Errorf("lost after %v", lasted)
		}
		if !errors.Is(err, ErrNoSession) || !strings.Contains(err.Error(), "silent for 7m33s") {
			t.Errorf("Keep() = %v", err)
		}
	})
}

func TestBeatEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, &fake{began: time.Now()})
		time.AfterFunc(10*time.Second, func() { p.conn.Session().InputClosed(nil) })
		if err := p.conn.Keep(t.Context()); !errors.Is(err, coap.ErrClosedByPeer) || ExitCode(err) != ExitNoSession {
			t.Errorf("Keep() = %v", err)
		}
	})
}

// TestHeartAnswers: RFC 9132, Section 4.7: the server's heartbeat is answered 2.04; nothing else is served.
func TestHeartAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, nil)
		beat, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutHeartbeat, PeerHB: true})
		if err != nil {
			t.Fatal(err)
		}
		config, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.GetConfig})
		if err != nil {
			t.Fatal(err)
		}
		broken := beat
		broken.Payload = []byte{0xff}
		for _, tt := range []struct {
			req  wire.CoAPRequest
			want coap.Code
		}{
			{beat, coap.Changed},
			{config, coap.NotFound},
			{broken, coap.BadRequest},
			{wire.CoAPRequest{Method: wire.GET, Path: []string{"elsewhere"}}, coap.NotFound},
		} {
			resp, err := p.server.Do(t.Context(), carry.RequestMessage(tt.req, carry.NON))
			if err != nil || resp.Code != tt.want {
				t.Errorf("%v %v = %v, %v, want %v", tt.req.Method, tt.req.Path, resp, err, tt.want)
			}
		}
		if n := p.conn.Heart.Heard(); n != 1 {
			t.Errorf("Heard() = %d", n)
		}
	})
}

// watched runs a watch over one session until it ends or the time is over.
func watched(t *testing.T, p *pair, w watch, during func()) (out, notes string, err error) {
	t.Helper()
	var o, e strings.Builder
	w.t = &tool{out: &o, err: &e, output: "text", timeout: 30 * time.Second}
	w.seen = make(map[uint32]string)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.session(ctx, p.conn) }()
	during()
	synctest.Wait()
	stop()
	err = <-done
	return strings.ReplaceAll(o.String(), "  ", " "), e.String(), err
}

// clock is how a watch shows the time so many seconds after a bubble's beginning.
func clock(seconds int) string {
	return time.Date(2000, 1, 1, 0, 0, seconds, 0, time.UTC).Local().Format(time.TimeOnly)
}

// TestWatch: a line for each change, and none for what is the same but for the lifetime.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now(), reports: []dots.Report{report(1, dots.StatusInProgress)}}
		p := newPair(t, f)
		out, notes, err := watched(t, p, watch{mid: dots.Some[uint32](1)}, func() {
			time.Sleep(time.Second)
			older := report(1, dots.StatusInProgress)
			older.Lifetime = 59
			f.change(older)
			time.Sleep(time.Second)
			f.change(report(1, dots.StatusMitigated))
			time.Sleep(time.Second)
			f.change()
		})
		want := clock(0) + " mid 1 in-progress lifetime 60 s\n" + clock(2) + " mid 1 mitigated lifetime 60 s\n"
		if out != want || notes != "dotsctl: mitigation 1 is gone\n" || !errors.Is(err, errSeen) {
			t.Errorf("shown:\n%snotes: %serror: %v", out, notes, err)
		}
	})
}

// TestWatchRegistersAgain: after a minute without a word, since a notification may be lost.
func TestWatchRegistersAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now(), reports: []dots.Report{report(1, dots.StatusInProgress)}}
		p := newPair(t, f)
		p.conn.interval = time.Hour
		out, _, err := watched(t, p, watch{mid: dots.Some[uint32](1), until: dots.StatusMitigated}, func() {
			time.Sleep(30 * time.Second)
			f.change(report(1, dots.StatusStopped))
			time.Sleep(10 * time.Second)
			p.down.setCut(true)
			f.change(report(1, dots.StatusMitigated)) // lost
			p.down.setCut(false)
			time.Sleep(time.Minute)
		})
		want := "0s 0.01 mitigate observe 0\n1m30s 0.01 mitigate observe 1\n1m30s 0.01 mitigate observe 0\n1m30s 0.01 mitigate observe 1"
		if got := f.requests(); got != want {
			t.Errorf("the server got\n%s\nwant\n%s", got, want)
		}
		if !strings.HasSuffix(out, clock(90)+" mid 1 mitigated lifetime 60 s\n") || !errors.Is(err, errSeen) {
			t.Errorf("shown:\n%serror: %v", out, err)
		}
	})
}

// TestWatchAll: of all mitigations there may be none at first, and again at the end.
func TestWatchAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now()}
		p := newPair(t, f)
		p.conn.interval = time.Hour
		out, notes, err := watched(t, p, watch{}, func() {
			time.Sleep(7 * time.Second)
			f.mu.Lock()
			f.reports = []dots.Report{report(1, dots.StatusInProgress), report(2, dots.StatusMitigated)}
			f.mu.Unlock()
			time.Sleep(5 * time.Second)
			f.change(report(2, dots.StatusMitigated))
			time.Sleep(time.Second)
			f.change()
			time.Sleep(time.Second)
		})
		want := clock(10) + " mid 1 in-progress lifetime 60 s\n" + clock(10) + " mid 2 mitigated lifetime 60 s\n"
		if out != want || notes != "dotsctl: mitigation 1 is gone\ndotsctl: no mitigation is left\n" || err != nil {
			t.Errorf("shown:\n%snotes: %serror: %v", out, notes, err)
		}
	})
}

// TestWatchFails: what is not there is an error, and so is an end that is not the one waited for.
func TestWatchFails(t *testing.T) {
	tests := []struct {
		name    string
		reports []dots.Report
		until   dots.Status
		during  func(*fake, *pair)
		want    int
	}{
		{"not there", nil, 0, func(*fake, *pair) {}, ExitRefused},
		{"gone too early", []dots.Report{report(1, dots.StatusInProgress)}, dots.StatusMitigated, func(f *fake, _ *pair) { f.change() }, ExitRefused},
		{"no answer", nil, 0, func(*fake, *pair) { time.Sleep(time.Minute) }, ExitNoSession},
		{"the session ends", []dots.Report{report(1, dots.StatusInProgress)}, 0, func(_ *fake, p *pair) { p.conn.Session().InputClosed(nil) }, ExitNoSession},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{began: time.Now(), reports: tt.reports, mute: tt.name == "no answer"}
				p := newPair(t, f)
				_, _, err := watched(t, p, watch{mid: dots.Some[uint32](1), until: tt.until}, func() {
					time.Sleep(time.Second)
					tt.during(f, p)
					time.Sleep(time.Second)
				})
				if err == nil || ExitCode(err) != tt.want {
					t.Errorf("error %v, exit code %d, want %d", err, ExitCode(err), tt.want)
				}
			})
		})
	}
}
