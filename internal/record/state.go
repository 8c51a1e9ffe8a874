package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// State is all that the record layer of one session is made of, at epoch 1. It holds secrets: whoever has it can read and
// forge the session. It shows none of them to fmt and log/slog, unless
// it is an unexported field of what is shown.
type State struct {
	// Suite is the cipher suite's number; New and Export accept only those with AES-GCM.
	Suite uint16
	// MasterSecret is 48 bytes.
	MasterSecret []byte
	// ClientRandom and ServerRandom are the hellos' random values.
	ClientRandom, ServerRandom [32]byte
	// IsClient tells which end of the session this is.
	IsClient bool
	// LocalSequence is the number of the next record we send, at most 2^48.
	LocalSequence uint64
	// RemoteSequence is one above the newest record of the peer: it and what is above is taken, at most 2^48.
	RemoteSequence uint64
	// LocalCID is the connection ID that the peer's records carry, RemoteCID the one that ours do (RFC 9146, Section 3).
	// Empty for none; at most 255 bytes.
	LocalCID, RemoteCID []byte
}

const (
	maxSequence  = 1<<48 - 1
	masterSecret = 48 // bytes; RFC 5246, Section 8.1
	maxCID       = 255
)

// stateVersion is the first byte of an encoded State. A process that finds another one refuses it.
const stateVersion = 1

// stateFixed is the length in bytes of an encoded State without its connection IDs.
const stateFixed = 1 + 2 + 1 + masterSecret + 32 + 32 + 8 + 8 + 1 + 1

// errState is what UnmarshalBinary returns, without a trace of the secrets in it.
var errState = errors.New("reading a record layer's state: it is malformed")

func (s State) check() error {
	switch {
	case len(s.MasterSecret) != masterSecret:
		return fmt.Errorf("the master secret has %d bytes instead of %d", len(s.MasterSecret), masterSecret)
	case len(s.LocalCID) > maxCID || len(s.RemoteCID) > maxCID:
		return fmt.Errorf("a connection ID has more than %d bytes", maxCID)
	case s.LocalSequence > maxSequence+1 || s.RemoteSequence > maxSequence+1:
		return errors.New("a sequence number has more than 48 bits")
	}
	return nil
}

// MarshalBinary encodes the state, secrets and all, for the hand-over to another process of the same machine. It must never
// be kept: a sequence number that comes back is a nonce that is used twice.
func (s State) MarshalBinary() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("writing a record layer's state: %w", err)
	}
	b := make([]byte, 0, stateFixed+len(s.LocalCID)+len(s.RemoteCID))
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint16(b, s.Suite)
	var client byte
	if s.IsClient {
		client = 1
	}
	b = append(b, client)
	b = append(b, s.MasterSecret...)
	b = append(b, s.ClientRandom[:]...)
	b = append(b, s.ServerRandom[:]...)
	b = binary.BigEndian.AppendUint64(b, s.LocalSequence)
	b = binary.BigEndian.AppendUint64(b, s.RemoteSequence)
	b = append(append(b, byte(len(s.LocalCID))), s.LocalCID...)
	return append(append(b, byte(len(s.RemoteCID))), s.RemoteCID...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote, and keeps nothing of b. On an error the state is unchanged.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) < stateFixed || b[0] != stateVersion || b[3] > 1 {
		return errState
	}
	read := State{Suite: binary.BigEndian.Uint16(b[1:3]), IsClient: b[3] == 1}
	b = b[4:]
	take := func(n int) []byte {
		taken := b[:n:n]
		b = b[n:]
		return taken
	}
	read.MasterSecret = append([]byte(nil), take(masterSecret)...)
	copy(read.ClientRandom[:], take(32))
	copy(read.ServerRandom[:], take(32))
	read.LocalSequence = binary.BigEndian.Uint64(take(8))
	read.RemoteSequence = binary.BigEndian.Uint64(take(8))
	for _, cid := range []*[]byte{&read.LocalCID, &read.RemoteCID} {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return errState
		}
		*cid = append([]byte(nil), take(1 + int(b[0]))[1:]...)
	}
	if len(b) > 0 || read.check() != nil {
		return errState
	}
	*s = read
	return nil
}

// Format writes the state without its secrets, whatever the verb.
func (s State) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "record.State(suite %#04x, client %t)", s.Suite, s.IsClient) // fmt reports errors itself
}

// MarshalJSON writes the state without its secrets, as log/slog does.
func (s State) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, fmt.Sprint(s)), nil }
