package admin

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a gateway that tells what the test says.
type fake struct {
	mitigations []Mitigation
	sessions    []Session
	uplinks     []Uplink
	err         error
}

func (f fake) Mitigations(context.Context) ([]Mitigation, error) { return f.mitigations, f.err }
func (f fake) Sessions(context.Context) ([]Session, error)       { return f.sessions, f.err }
func (f fake) Uplinks(context.Context) ([]Uplink, error)         { return f.uplinks, f.err }

// example is a gateway with something of everything.
func example() fake {
	dropped := uint64(7)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return fake{
		mitigations: []Mitigation{
			{
				Client: "a", CUID: "x", MID: 1, Domain: "d", Targets: []string{"192.0.2.1/32", "port:443"}, Status: "mitigated", StatusCode: 2, Lifetime: 60,
				BytesDropped: &dropped, Legs: []Leg{
					{Uplink: "one", CUID: "g", MID: 9, State: "placed", Status: "mitigated", Heard: at.Add(30 * time.Second)},
					{Uplink: "two", CUID: "g", MID: 3, State: "placing"},
				},
			},
			{Client: "b", CUID: "y", MID: 2, Domain: "d", Targets: []string{"example.com"}, Status: "in-progress", StatusCode: 1, Lifetime: -1, Legs: []Leg{}},
		},
		sessions: []Session{
			{ID: 5, Client: "a", Peer: "192.0.2.9:4646", Transport: "dtls", Profile: "rfc9132", Since: at, LastHeard: at.Add(time.Minute)},
			{ID: 6, Peer: "192.0.2.10:4646", Transport: "tls", Since: at, LastHeard: at},
		},
		uplinks: []Uplink{
			{
				Name: "one", Up: true, Profile: "rfc9132", Transport: "dtls", Remote: "198.51.100.1:4646", RTT: 0.0415, Since: at, LastHeard: at,
				Legs: map[string]int{"wanted": 0, "placed": 3, "refused": 1},
			},
			{Name: "two", Profile: "draft04", LastError: "no route", Failures: 3, Legs: map[string]int{}},
		},
	}
}

// folder makes a folder whose name is short enough for a socket in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in the system's folder for such things
	return dir
}

// serve runs a server on a socket until the test ends, or stop is called.
func serve(t *testing.T, path string, from Source) (stop func()) {
	t.Helper()
	s, err := Listen(path, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestLists(t *testing.T) {
	path := filepath.Join(folder(t), "deep", "admin.sock")
	want := example()
	serve(t, path, want)
	c := NewClient(path)
	for _, tt := range []struct {
		name        string
		filter      Filter
		mitigations []Mitigation
		sessions    []Session
		uplinks     []Uplink
	}{
		{"all", Filter{}, want.mitigations, want.sessions, want.uplinks},
		{"of a client", Filter{Client: "a"}, want.mitigations[:1], want.sessions[:1], want.uplinks},
		{"of an uplink", Filter{Uplink: "one"}, want.mitigations[:1], want.sessions, want.uplinks[:1]},
		{"with a status", Filter{Status: "in-progress"}, want.mitigations[1:], want.sessions, want.uplinks},
		{"of nobody", Filter{Client: "a&b=c", Uplink: "%", Status: " "}, []Mitigation{}, []Session{}, []Uplink{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := c.Mitigations(t.Context(), tt.filter)
			if diff := cmp.Diff(tt.mitigations, m); diff != "" || err != nil {
				t.Errorf("mitigations: %v (-want +got):\n%s", err, diff)
			}
			s, err := c.Sessions(t.Context(), tt.filter)
			if diff := cmp.Diff(tt.sessions, s); diff != "" || err != nil {
				t.Errorf("sessions: %v (-want +got):\n%s", err, diff)
			}
			u, err := c.Uplinks(t.Context(), tt.filter)
			if diff := cmp.Diff(tt.uplinks, u); diff != "" || err != nil {
				t.Errorf("uplinks: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestNothing holds that an empty list is a list, for whoever reads the JSON.
func TestNothing(t *testing.T) {
	path := filepath.Join(folder(t), "admin.sock")
	serve(t, path, fake{})
	m, err := NewClient(path).Mitigations(t.Context(), Filter{})
	if err != nil || m == nil || len(m) != 0 {
		t.Errorf("mitigations: %v, %v; want an empty list", m, err)
	}
}

func TestClientFailures(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "admin.sock")
	serve(t, path, fake{err: errors.New("busy\x1b[2J")})
	for name, tt := range map[string]struct {
		ask  func() error
		want string
	}{
		"no gateway": {func() error {
			_, err := NewClient(filepath.Join(dir, "none")).Uplinks(t.Context(), Filter{})
			return err
		}, "is it running"},
		"gateway fails": {func() error { _, err := NewClient(path).Uplinks(t.Context(), Filter{}); return err }, `503 Service Unavailable: busy\x1b[2J`},
		"unknown path":  {func() error { _, err := get[Leg](t.Context(), NewClient(path), "/v1/legs", Filter{}); return err }, "404"},
		"another type":  {func() error { _, err := get[Leg](t.Context(), NewClient(path), "/v1/x?y", Filter{}); return err }, "404"},
	} {
		if err := tt.ask(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := readFilter(map[string][]string{"cleint": {"a"}}); err == nil {
		t.Error("a filter with a typing error is taken")
	}
}

// TestSocketRights holds that only owner and group may ask.
func TestSocketRights(t *testing.T) {
	path := filepath.Join(folder(t), "admin.sock")
	stop := serve(t, path, fake{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("rights %v, %v; want 0660", info.Mode(), err)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestStaleSocket holds that what a killed process left is removed, and nothing else.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(folder(t), "admin.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, path, example())
	if m, err := NewClient(path).Mitigations(t.Context(), Filter{}); err != nil || len(m) != 2 {
		t.Errorf("over a socket that took a stale one's place: %v, %v", m, err)
	}
	if _, err := Listen(path, fake{}, nil); err == nil || !strings.Contains(err.Error(), "another process answers") {
		t.Errorf("a live socket was taken: %v", err)
	}
	if m, err := NewClient(path).Mitigations(t.Context(), Filter{}); err != nil || len(m) != 2 {
		t.Errorf("the live socket suffered: %v, %v", m, err)
	}
	stop()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, fake{}, nil); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("a file was taken for a socket: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "precious" || err != nil {
		t.Errorf("the file suffered: %q, %v", text, err)
	}
}

func TestListenFailures(t *testing.T) {
	dir := folder(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "admin.sock"), filepath.Join(dir, strings.Repeat("a", 120))} {
		if _, err := Listen(path, fake{}, nil); err == nil {
			t.Errorf("listening on %s succeeded", path)
		}
	}
}
