package aaa

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"time"
)

// Request is what the server is asked about. Everything but MID may decide; MID is for the server's log only, because the
// answer is kept for the next request that is the same but for its mid.
type Request struct {
	// Client is the configured client entry that asks.
	Client string
	// CUID is the client's own identifier, as it came.
	CUID string
	// CDID is the client's domain as a trusted gateway tells it; empty for clients of our own.
	CDID string
	// Domain is the administrative domain of the client.
	Domain string
	// Targets are prefixes, names and URIs, as text, aliases resolved. The order says nothing.
	Targets []string
	// Protocols are numbers as text; none: all.
	Protocols []string
	// Ports are "443" or "8000-8080"; none: all.
	Ports []string
	// Lifetime is what is asked for, in seconds; negative: indefinite.
	Lifetime int64
	// MID is the mitigation's number.
	MID uint32
}

// Decision is what is known of a Request.
type Decision struct {
	Allow bool
	// Reason is what the server says of it: for logs, not for the client. At most MaxReason bytes, without control characters.
	Reason string
	// Failed says that there was no answer, and none from before that still counts. Allow is false, Reason says what failed.
	Failed bool
}

// MaxReason is the greatest length of a Decision's Reason, in bytes; a longer one is cut.
const MaxReason = 256

// Meter counts. Its methods are called from any goroutine and do not block.
type Meter interface {
	// Decided counts a decision that was given, and where it came from.
	Decided(from Source, d Decision)
	// Asked counts a question that left for the server, when it has ended; answered is false where nothing usable came.
	Asked(took time.Duration, answered bool)
	// Dropped counts an answer that was not accepted.
	Dropped(why Fault)
}

// Source is where a decision came from.
type Source string

// The sources of decisions.
const (
	FromServer Source = "server" // it was asked, now or by an equal question under way
	FromCache  Source = "cache"  // it said so within the time that its answers are kept
	FromStale  Source = "stale"  // it is silent; it said so before
	FromNobody Source = "nobody" // it is silent: Decision.Failed
)

// Fault is why an answer was not accepted.
type Fault string

// The faults of answers.
const (
	FaultGarbage         Fault = "garbage"          // it cannot be read
	FaultUnexpected      Fault = "unexpected"       // nobody waits for it: too late, or of a strange number
	FaultAuthenticator   Fault = "authenticator"    // not from who knows the secret
	FaultUnauthenticated Fault = "unauthenticated"  // without a Message-Authenticator
	FaultStatus          Fault = "unusable_status"  // a hook's answer is not 200
	FaultBody            Fault = "unusable_content" // a hook's answer is too long, or no decision
)

// noMeter is the Meter of whoever was given none.
type noMeter struct{}

func (noMeter) Decided(Source, Decision)  {}
func (noMeter) Asked(time.Duration, bool) {}
func (noMeter) Dropped(Fault)             {}

// key stands for a Request in the cache: everything that may decide, whatever the order of targets, protocols and ports.
type key [sha256.Size]byte

func (r Request) key() (k key) {
	h := sha256.New()
	for _, one := range []string{r.Client, r.CUID, r.CDID, r.Domain} {
		hashText(h, one)
	}
	for _, list := range [][]string{r.Targets, r.Protocols, r.Ports} {
		list = slices.Sorted(slices.Values(list))
		hashNumber(h, uint64(len(list)))
		for _, one := range list {
			hashText(h, one)
		}
	}
	hashNumber(h, uint64(max(r.Lifetime, -1)))
	h.Sum(k[:0])
	return k
}

// hashText writes a text and its length, so that no two lists of texts read the same.
func hashText(h hash.Hash, s string) {
	hashNumber(h, uint64(len(s)))
	h.Write([]byte(s))
}

func hashNumber(h hash.Hash, n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
