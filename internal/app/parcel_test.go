package app

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/internal/config"
)

// newPipes makes both ends.
func newPipes(t *testing.T) (a, b *pipe) {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	other, err := connOf(theirs)
	if err != nil {
		t.Fatal(err)
	}
	a, b = newPipe(ours), newPipe(other)
	t.Cleanup(func() { a.close(); b.close() })
	return a, b
}

func soon() time.Time { return time.Now().Add(patience) }

// TestPipe: parcels arrive as they were sent, with their files, and stay whole.
func TestPipe(t *testing.T) {
	t.Parallel()
	a, b := newPipes(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // its duplicates are tried
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // sent
	big := &sessionParcel{Number: 1, Place: "x"}
	big.Session.Observed = [][]byte{bytes.Repeat([]byte("x"), maxRequests)}
	for _, what := range []parcel{
		{Hello: &helloParcel{Version: 1, Token: []byte("t")}},
		{Sockets: &socketsParcel{Place: "x", Files: 1}},
		{Session: big},
		{Running: true},
		{Failed: "for no reason"},
	} {
		var files []*os.File
		if what.Sockets != nil {
			files = append(files, f)
		}
		if err := a.send(soon(), what, files...); err != nil {
			t.Fatal(err)
		}
		got, with, err := b.receive(soon())
		if err != nil || len(with) != len(files) {
			t.Fatalf("received %d files, %v", len(with), err)
		}
		if what.Session != nil {
			if len(got.Session.Session.Observed[0]) != maxRequests {
				t.Error("a large parcel is not whole")
			}
		} else if diff := cmp.Diff(what, got); diff != "" {
			t.Error(diff)
		}
		for _, f := range with {
			again, err := net.FileListener(f)
			if err != nil || again.Addr().String() != l.Addr().String() {
				t.Errorf("another socket came: %v", err)
			}
			_ = again.Close()
		}
		closeFiles(with)
	}
}

// TestPipeBounds: what is too large is not sent, what makes no sense is not taken, and nobody waits for ever.
func TestPipeBounds(t *testing.T) {
	t.Parallel()
	a, b := newPipes(t)
	if err := a.send(soon(), parcel{Failed: strings.Repeat("x", maxParcel)}); err == nil {
		t.Error("a parcel without bounds is sent")
	}
	if _, _, err := b.receive(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing was said: %v", err)
	}
	if _, err := a.conn.Write([]byte("\x05no gob")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.receive(soon()); err == nil {
		t.Error("nonsense is taken")
	}
	a.close()
	if _, _, err := b.receive(soon()); err == nil || !strings.Contains(err.Error(), "has gone") {
		t.Errorf("nobody is there: %v", err)
	}
}

// TestHeirTakes: what does not follow from what came before is refused.
func TestHeirTakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		said []parcel
		last bool // the last one is taken
	}{
		"all":                {[]parcel{{Session: &sessionParcel{Number: 1}}, {Given: &givenParcel{Token: []byte("t"), Sessions: 1}}}, true},
		"a session twice":    {[]parcel{{Session: &sessionParcel{Number: 1}}, {Session: &sessionParcel{Number: 1}}}, false},
		"one is missing":     {[]parcel{{Session: &sessionParcel{Number: 2}}}, false},
		"another token":      {[]parcel{{Given: &givenParcel{Token: []byte("u")}}}, false},
		"more were sent":     {[]parcel{{Given: &givenParcel{Token: []byte("t"), Sessions: 1}}}, false},
		"files are missing":  {[]parcel{{Sockets: &socketsParcel{Place: "a", Files: 1}}}, false},
		"an unwanted socket": {[]parcel{{Sockets: &socketsParcel{Place: "b"}}}, false},
		"the old goes on":    {[]parcel{{Failed: "changed my mind"}}, false},
		"nothing":            {[]parcel{{}}, false},
	} {
		h := newHeir(nil)
		h.token, h.wants = []byte("t"), []string{"a"}
		var err error
		last := false
		for i, p := range tt.said {
			if last, err = h.take(p, nil); err != nil && i < len(tt.said)-1 {
				t.Errorf("%s: %v", name, err)
			}
		}
		if last != tt.last || (err == nil) != tt.last {
			t.Errorf("%s: last %v, %v", name, last, err)
		}
	}
}

// TestHeirVersion: processes that are too different do not hand over.
func TestHeirVersion(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]parcel{
		"another version": {Hello: &helloParcel{Version: handoverVersion + 1}}, "no hello": {Running: true},
	} {
		a, b := newPipes(t)
		if err := a.send(soon(), said); err != nil {
			t.Fatal(err)
		}
		if err := newHeir(b).await(&config.Config{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestPlaces: each socket has a name of its own, the same in another process.
func TestPlaces(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Metrics: "m", Admin: "a", Listeners: []config.Listener{
		{Address: ":1", Transport: config.TransportDTLS}, {Address: ":1", Transport: config.TransportTLS}, {Address: ":1", Transport: config.TransportDTLS},
	}}
	want := []string{"dtls :1 #1", "tls :1 #1", "dtls :1 #2", "metrics m", "admin a"}
	if diff := cmp.Diff(want, places(cfg)); diff != "" {
		t.Error(diff)
	}
}

// TestFitting: what is too much for a parcel is left out.
func TestFitting(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("x"), maxRequests/3)
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 5: 2} {
		requests := make([][]byte, n)
		for i := range requests {
			requests[i] = large
		}
		if got := len(fitting(requests)); got != want {
			t.Errorf("of %d fit %d, want %d", n, got, want)
		}
	}
}
