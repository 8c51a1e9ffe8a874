package ctl

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// TestEfficacyOfWhatIsOver: RFC 9132, Section 4.4.3: an update that matches nothing is not answered, so none is sent of a
// mitigation that the server calls over; of any other it is.
func TestEfficacyOfWhatIsOver(t *testing.T) {
	for status := dots.StatusInProgress; status.Valid(); status++ {
		t.Run(status.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := report(1, status)
				r.Target.FQDNs = []string{"www.example.com"}
				f := &fake{began: time.Now(), reports: []dots.Report{r}}
				p := newPair(t, f)
				tool := &tool{out: io.Discard, err: io.Discard, output: "text", timeout: 30 * time.Second}
				err := tool.efficacy(t.Context(), p.conn, 1, dots.AttackMitigated)
				asked := "0s 0.01 mitigate"
				switch status {
				case dots.StatusClientWithdrawn, dots.StatusTerminated, dots.StatusWithdrawn:
					want := "the mitigation is over: nothing to tell of mitigation 1, which is " + status.String()
					if !errors.Is(err, ErrOver) || err.Error() != want || ExitCode(err) != ExitRefused {
						t.Errorf("efficacy() = %v, exit code %d", err, ExitCode(err))
					}
				default:
					asked += "\n0s 0.03 mitigate efficacy 2"
				}
				if got := f.requests(); got != asked {
					t.Errorf("the server got\n%s\nwant\n%s", got, asked)
				}
			})
		})
	}
}

// TestEfficacyUnanswered: RFC 9132, Section 4.4.3: the server may have dropped the mitigation meanwhile, and then it is silent.
func TestEfficacyUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := report(1, dots.StatusMitigated)
		r.Target.FQDNs = []string{"www.example.com"}
		f := &fake{began: time.Now(), reports: []dots.Report{r}}
		p := newPair(t, coap.HandlerFunc(func(ex *coap.Exchange) {
			if ex.Request().Code == coap.PUT {
				ex.Silence()
				return
			}
			f.ServeCoAP(ex)
		}))
		tool := &tool{out: io.Discard, err: io.Discard, output: "text", timeout: 30 * time.Second}
		err := tool.efficacy(t.Context(), p.conn, 1, dots.AttackMitigated)
		want := "no answer in time: the server was silent for 30s; a server does not answer what matches none of its mitigations"
		if err == nil || err.Error() != want || ExitCode(err) != ExitNoSession {
			t.Errorf("efficacy() = %v, exit code %d", err, ExitCode(err))
		}
	})
}

// hideObserve takes the Observe option out of a message that begins with it and has a Content-Format next, as go-dots
// leaves it out of its first answer.
func hideObserve(b []byte) []byte {
	at := 4 + int(b[0]&0x0f)
	if len(b) <= at || b[at]>>4 != byte(coap.Observe) {
		return b
	}
	next := at + 1 + int(b[at]&0x0f)
	out := append([]byte(nil), b[:at]...)
	return append(append(out, b[next]+byte(coap.Observe)<<4), b[next+1:]...)
}

// TestWatchAServerThatDoesNotSaySo: a server that leaves Observe out of its first answer and notifies all the same is heard.
func TestWatchAServerThatDoesNotSaySo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{began: time.Now(), reports: []dots.Report{report(1, dots.StatusInProgress)}}
		p := newPair(t, f)
		hidden := 0
		p.down.change = func(b []byte) []byte { // under the link's lock
			if hidden > 0 {
				return b
			}
			hidden = len(b) - len(hideObserve(b))
			return hideObserve(b)
		}
		out, _, err := watched(t, p, watch{mid: dots.Some[uint32](1), until: dots.StatusMitigated}, func() {
			time.Sleep(time.Second)
			f.change(report(1, dots.StatusMitigated))
		})
		if hidden == 0 {
			t.Error("the first answer had no Observe to hide")
		}
		if !strings.HasSuffix(out, clock(1)+" mid 1 mitigated lifetime 60 s\n") || !errors.Is(err, errSeen) {
			t.Errorf("shown:\n%serror: %v", out, err)
		}
	})
}
