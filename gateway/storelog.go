package gateway

import "time"

// storeLogEvery is how often a store that goes on failing is told of: it is tried each second, and a full disk may stay so for a night.
const storeLogEvery = time.Minute

// storeLog says in the log how commits go. It is the loop's.
type storeLog struct {
	told   time.Time // when the newest line was written; zero: the newest commit went well
	failed int       // commits since the first that failed
}

// failure notes a commit that failed, and returns the count of those in a row; telling: the log should say so.
func (l *storeLog) failure(now time.Time) (failed int, telling bool) {
	l.failed++
	if !l.told.IsZero() && now.Sub(l.told) < storeLogEvery {
		return l.failed, false
	}
	l.told = now
	return l.failed, true
}

// success notes one that went well, and returns how many failed before it.
func (l *storeLog) success() int {
	n := l.failed
	*l = storeLog{}
	return n
}
