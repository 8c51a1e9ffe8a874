package coap

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// lossyPath is a path that takes 20 ms either way and loses this share of what is sent, by a seed.
func lossyPath(loss float64, seed uint64) func(deliver func()) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(deliver func()) {
		mu.Lock()
		defer mu.Unlock()
		if rng.Float64() >= loss {
			time.AfterFunc(20*time.Millisecond, deliver)
		}
	}
}

// handshakesOver makes handshakes over a path that loses datagrams, one after the other, and counts those that finish within 30 s.
func handshakesOver(t *testing.T, path func(func()), beside []time.Duration, runs int) (inTime int) {
	synctest.Test(t, func(t *testing.T) {
		ca := testpki.New(t, "root")
		set := credentialsOf(t, ca, ca.Client("a.example")).current.Load()
		n := memNet{path: path}
		_, stop := virtualServer(t, nil, ServerConfig{
			Network: NetworkUDP, Credentials: credentialsOf(t, ca, ca.Server()), OnFailure: func(net.Addr, error) {},
		}, n.socket(1))
		defer stop()
		var port atomic.Int32
		for range runs {
			ctx, cancel := context.WithTimeout(t.Context(), DefaultDTLSHandshakeTimeout)
			start := time.Now()
			conn, err := firstOf(ctx, beside, func(ctx context.Context) (securedConn, error) {
				return clientDTLS(ctx, set, n.socket(int(port.Add(1))+1).client(new(Counters)), "localhost")
			})
			cancel()
			if err == nil {
				giveUp(conn)
			}
			if err == nil && time.Since(start) <= 30*time.Second {
				inTime++
			}
			time.Sleep(DefaultDTLSHandshakeTimeout) // the server gives up what is left
		}
	})
	return inTime
}

// Where half of all datagrams are lost, either way, several handshakes beside each other find a way where one seldom does (53 in 100).
func TestDTLSHandshakesOverALossyPath(t *testing.T) {
	runs := 100
	if text := os.Getenv("DOTSGATE_HANDSHAKES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	const batch = 20 // the certificates of a test live for an hour
	for _, tt := range []struct {
		loss  float64
		least float64
	}{{0.3, 0.92}, {0.5, 0.85}} {
		inTime := 0
		for seed := range runs / batch {
			inTime += handshakesOver(t, lossyPath(tt.loss, uint64(seed)), DefaultBeside(), batch)
		}
		share := float64(inTime) / float64(runs/batch*batch)
		t.Logf("%v lost: %.1f %% of %d handshakes finish within 30 s, wanted %v %%", tt.loss, share*100, runs, tt.least*100)
		if share < tt.least {
			t.Errorf("%v lost: %d of %d handshakes finish within 30 s, less than %v", tt.loss, inTime, runs, tt.least)
		}
	}
}

// attempt is one of a script: it ends after a time from its beginning, unless it is given up.
type attempt struct {
	after time.Duration
	err   error
}

// closing is a connection that notes its end.
type closing struct {
	securedConn
	name   int
	closed *[]int
}

func (c closing) Close() error {
	*c.closed = append(*c.closed, c.name)
	return nil
}

func TestFirstOf(t *testing.T) {
	refused, at := errors.New("refused"), func(s ...float64) (ds []time.Duration) {
		for _, x := range s {
			ds = append(ds, time.Duration(x*float64(time.Second)))
		}
		return ds
	}
	const never = time.Hour
	tests := map[string]struct {
		attempts []attempt
		winner   int // -1: none
		took     time.Duration
		begun    []time.Duration
		err      error
	}{
		"the first, before another begins":      {[]attempt{{after: 900 * time.Millisecond}}, 0, at(0.9)[0], at(0), nil},
		"the second, and the first is given up": {[]attempt{{after: never}, {after: time.Second}}, 1, at(2)[0], at(0, 1), nil},
		"the first, beside others":              {[]attempt{{after: 4 * time.Second}, {after: never}, {after: never}}, 0, at(4)[0], at(0, 1, 3), nil},
		"the last":                              {[]attempt{{after: never}, {after: never}, {after: never}, {after: time.Second}}, 3, at(7)[0], at(0, 1, 3, 6), nil},
		"none, for the first is refused":        {[]attempt{{time.Millisecond, refused}}, -1, time.Millisecond, at(0), refused},
		"none begins after a refusal":           {[]attempt{{after: 5 * time.Second}, {time.Second, refused}}, 0, at(5)[0], at(0, 1), nil},
		"the oldest makes room, and is no failure": {
			[]attempt{{after: never}, {after: never}, {after: never}, {after: never}, {after: 2 * time.Second}}, 4, at(18)[0], at(0, 1, 3, 6, 16), nil,
		},
		"the second, though the oldest made room": {
			[]attempt{{after: 17 * time.Second}, {after: 18 * time.Second}, {after: never}, {after: never}, {after: never}}, 1, at(19)[0], at(0, 1, 3, 6, 16), nil,
		},
		"none in time": {
			[]attempt{{after: never}, {after: never}, {after: never}, {after: never}, {after: never}}, -1, at(20)[0], at(0, 1, 3, 6, 16), context.DeadlineExceeded,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				start := time.Now()
				var mu sync.Mutex
				var begun []time.Duration
				var closed []int
				conn, err := firstOf(ctx, DefaultBeside(), func(ctx context.Context) (securedConn, error) {
					mu.Lock()
					i := len(begun)
					begun = append(begun, time.Since(start))
					mu.Unlock()
					select {
					case <-time.After(tt.attempts[i].after):
						return closing{name: i, closed: &closed}, tt.attempts[i].err
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				won := -1
				if err == nil {
					won = conn.(closing).name
				}
				if won != tt.winner || !errors.Is(err, tt.err) || time.Since(start) != tt.took || !slices.Equal(begun, tt.begun) {
					t.Errorf("%d won, %v, after %v, begun at %v; want %d, %v, %v, %v", won, err, time.Since(start), begun, tt.winner, tt.err, tt.took, tt.begun)
				}
			})
		})
	}
}

// One that finishes although another has won is closed.
func TestFirstOfClosesTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed []int
		var begun atomic.Int32
		conn, err := firstOf(t.Context(), DefaultBeside(), func(ctx context.Context) (securedConn, error) {
			me := closing{name: int(begun.Add(1)), closed: &closed}
			if me.name == 2 {
				time.Sleep(time.Second)
				return me, nil
			}
			<-ctx.Done() // its last datagram was just in time
			return me, nil
		})
		if err != nil || conn.(closing).name != 2 || !slices.Equal(closed, []int{1}) {
			t.Errorf("won %v, %v; closed %v", conn, err, closed)
		}
	})
}

// A server that comes back while it is dialled is sent something soon: the repetitions of one handshake would be half a minute apart.
func TestDefaultBesideLeavesNoGap(t *testing.T) {
	var flights []time.Duration
	begun := append([]time.Duration{0}, DefaultBeside()...)
	for i, at := range begun {
		end := DefaultDTLSHandshakeTimeout
		if makesRoom := i + MaxBeside + 1; makesRoom < len(begun) {
			end = begun[makesRoom]
		}
		for wait := time.Second; at < end; at, wait = at+wait, 2*wait {
			flights = append(flights, at)
		}
	}
	slices.Sort(flights)
	for i, at := range append(flights, DefaultDTLSHandshakeTimeout)[1:] {
		if gap := at - flights[i]; gap > 7*time.Second {
			t.Errorf("nothing is sent for %v from %v on", gap, flights[i])
		}
	}
}
