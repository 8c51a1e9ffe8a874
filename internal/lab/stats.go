package lab

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// stats count the answers of a load. Safe for concurrent use. Their size does not depend on how many there are.
type stats struct {
	mu       sync.Mutex
	began    time.Time // when the first session was there
	ended    time.Time
	requests uint64
	codes    map[string]uint64
	times    []uint64 // by bucket
	max      time.Duration
	dials    uint64
	failures uint64
	dialErr  error // of the last attempt that failed
}

// A bucket holds times up to 2 % longer than those of the one before, from a microsecond on.
const (
	bucketGrowth = 1.02
	buckets      = 1200 // up to hours
)

func newStats() *stats {
	return &stats{codes: make(map[string]uint64), times: make([]uint64, buckets)}
}

func bucketOf(d time.Duration) int {
	us := max(float64(d)/float64(time.Microsecond), 1)
	return min(int(math.Log(us)/math.Log(bucketGrowth)), buckets-1)
}

// bucketTime is the middle of a bucket.
func bucketTime(i int) time.Duration {
	return time.Duration(math.Pow(bucketGrowth, float64(i)+0.5) * float64(time.Microsecond))
}

func (s *stats) answered(code string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.codes[code]++
	s.times[bucketOf(took)]++
	s.max = max(s.max, took)
}

func (s *stats) failed(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[why]++
}

// dialled notes an attempt to make a session, and its error.
func (s *stats) dialled(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures++
		s.dialErr = err
		return
	}
	s.dials++
	if s.began.IsZero() {
		s.began = time.Now()
	}
}

func (s *stats) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = time.Now()
}

func (s *stats) result() LoadResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := LoadResult{
		Requests: s.requests, Codes: maps.Clone(s.codes), Max: s.max, Dials: s.dials, DialFailures: s.failures, LastDialError: s.dialErr,
		P50: min(s.quantile(0.50), s.max), P99: min(s.quantile(0.99), s.max),
	}
	switch {
	case s.began.IsZero():
	case s.ended.IsZero():
		r.Elapsed = time.Since(s.began)
	default:
		r.Elapsed = s.ended.Sub(s.began)
	}
	return r
}

// quantile returns the time that the part q of the answers did not exceed. The lock is held.
func (s *stats) quantile(q float64) time.Duration {
	if s.requests == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(s.requests)))
	sum := uint64(0)
	for i, n := range s.times {
		if sum += n; sum >= rank {
			return bucketTime(i)
		}
	}
	return s.max
}

// failure says why a load was none: nothing was asked, or nothing that was asked succeeded. It is nil for every other one.
func (r LoadResult) failure() error {
	for code := range r.Codes {
		if strings.HasPrefix(code, "2.") {
			return nil
		}
	}
	switch {
	case r.Dials == 0 && r.DialFailures == 0:
		return errors.New("nothing was asked: the load was over before the first session was there")
	case r.Dials == 0:
		return fmt.Errorf("nothing was asked: no session could be made, %d attempts failed: last: %w", r.DialFailures, r.LastDialError)
	case r.Requests == 0:
		return fmt.Errorf("no request was answered over %d sessions", r.Dials)
	}
	return fmt.Errorf("none of %d answers was a success", r.Requests)
}

// String is the result in a few lines for people.
func (r LoadResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests in %.1f s: %.0f a second\n", r.Requests, r.Elapsed.Seconds(), r.Rate())
	fmt.Fprintf(&b, "time to an answer: p50 %v, p99 %v, max %v\n", r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond), r.Max.Round(time.Microsecond))
	fmt.Fprintf(&b, "sessions: %d made, %d failed\n", r.Dials, r.DialFailures)
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		fmt.Fprintf(&b, "%s: %d\n", code, r.Codes[code])
	}
	return b.String()
}
