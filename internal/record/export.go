package record

import (
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
)

// ErrSuite says that a session has a cipher suite that is not done here: it stays with the library.
var ErrSuite = errors.New("the cipher suite is not an AES-GCM suite")

// errShape says that the library's encoding of its state is not the one that this was written for.
var errShape = errors.New("the library's encoding of its state has another shape")

// exported is what we need of the library's encoding of its state: the names and types are the library's.
type exported struct {
	RemoteSequenceNumber uint64
	HandshakeComplete    bool
	LocalEpoch           uint16
	RemoteEpoch          uint16
	LocalRandom          [32]byte
	RemoteRandom         [32]byte
	CipherSuiteID        uint16
	MasterSecret         []byte
	SequenceNumber       uint64
	LocalConnectionID    []byte
	RemoteConnectionID   []byte
	IsClient             bool
}

// Export takes the keys and counters of a finished handshake out of the library's state, which the caller has from
// dtls.Conn.ConnectionState, after it has made sure that the connection never sends another record. Nothing else of s is
// needed, and PeerCertificates may be nil to make it cheaper. It returns ErrSuite for a suite that New would not take,
// and another error when the library's encoding is not what it was. Whoever exports often uses an Exporter.
func Export(s *dtls.State) (State, error) { return new(Exporter).Export(s) }

// check wants what is true of every finished handshake, of which both sides' Finished were the records number 0.
func (e *exported) check(suite uint16) error {
	switch {
	case !e.HandshakeComplete:
		return fmt.Errorf("%w: the handshake is not complete", errShape)
	case e.LocalEpoch != 1 || e.RemoteEpoch != 1:
		return fmt.Errorf("%w: the epochs are %d and %d", errShape, e.LocalEpoch, e.RemoteEpoch)
	case e.CipherSuiteID != suite:
		return fmt.Errorf("%w: the cipher suite is %#04x", errShape, e.CipherSuiteID)
	case e.LocalRandom == [32]byte{} || e.RemoteRandom == [32]byte{}:
		return fmt.Errorf("%w: a random value is missing", errShape)
	case e.SequenceNumber == 0 || e.RemoteSequenceNumber == 0:
		return fmt.Errorf("%w: a sequence number is missing", errShape)
	}
	if err := e.state().check(); err != nil {
		return fmt.Errorf("%w: %w", errShape, err)
	}
	return nil
}

func (e *exported) state() State {
	s := State{
		Suite: e.CipherSuiteID, MasterSecret: e.MasterSecret,
		ClientRandom: e.RemoteRandom, ServerRandom: e.LocalRandom,
		IsClient:      e.IsClient,
		LocalSequence: e.SequenceNumber, RemoteSequence: e.RemoteSequenceNumber,
		LocalCID: e.LocalConnectionID, RemoteCID: e.RemoteConnectionID,
	}
	if e.IsClient {
		s.ClientRandom, s.ServerRandom = e.LocalRandom, e.RemoteRandom
	}
	return s
}
