package record

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"sync"

	"github.com/pion/dtls/v3"
)

// Exporter is Export for many sessions: it remembers how the library describes its encoding, which makes up most of the
// encoding and is the same for all states of a process, and reads it once. The zero value is ready. Safe for concurrent use.
type Exporter struct {
	mu          sync.Mutex
	description []byte       // what in has been told; nil for nothing
	in          bytes.Buffer // of a kind that gob reads no further than it must
	decoder     *gob.Decoder
}

// Export takes the keys and counters of a finished handshake out of the library's state, as the function Export does.
func (e *Exporter) Export(s *dtls.State) (State, error) {
	if !Supports(uint16(s.CipherSuiteID)) {
		return State{}, ErrSuite
	}
	b, err := s.MarshalBinary()
	if err != nil {
		return State{}, fmt.Errorf("exporting the DTLS state: %w", err)
	}
	return e.decode(b, uint16(s.CipherSuiteID))
}

// Check reports whether Export would do with states like s: ErrSuite, nil when it has before, and else what a trial says. It is
// for the time before the connection is silenced, when another way is still open.
func (e *Exporter) Check(s *dtls.State) error {
	if !Supports(uint16(s.CipherSuiteID)) {
		return ErrSuite
	}
	e.mu.Lock()
	tried := e.description != nil
	e.mu.Unlock()
	if tried {
		return nil
	}
	_, err := e.Export(s)
	return err
}

// decode reads the library's encoding. suite is what it must say.
func (e *Exporter) decode(b []byte, suite uint16) (State, error) {
	x, err := e.read(b)
	if err != nil {
		return State{}, err
	}
	if err := x.check(suite); err != nil {
		return State{}, err
	}
	return x.state(), nil
}

func (e *Exporter) read(b []byte) (exported, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	description := b[:describes(b)]
	if len(description) == 0 || !bytes.Equal(description, e.description) {
		if err := checkNames(b); err != nil {
			return exported{}, err
		}
		e.in.Reset()
		e.decoder, e.description = gob.NewDecoder(&e.in), description
	} else {
		b = b[len(description):]
	}
	e.in.Write(b)
	var x exported
	err := e.decoder.Decode(&x)
	if err == nil && e.in.Len() > 0 {
		err = errors.New("there is more than one value")
	}
	if err != nil {
		e.description = nil // begin anew next time
		return exported{}, fmt.Errorf("%w: %w", errShape, err)
	}
	return x, nil
}

// checkNames wants the names of the fields that may be zero. A field that another release of the library calls otherwise is
// left out without an error; most are never zero, which check wants of them.
func checkNames(b []byte) error {
	for _, name := range []string{"LocalConnectionID", "RemoteConnectionID", "IsClient"} {
		if !bytes.Contains(b, []byte(name)) {
			return fmt.Errorf("%w: no %s", errShape, name)
		}
	}
	return nil
}

// describes is the length of what stands before the value in an encoding: messages of a length and a type's number, which is
// negative where they describe that type (see the documentation of encoding/gob). 0 when there is no value.
func describes(b []byte) int {
	at := 0
	for {
		length, n := gobUint(b[at:])
		if n == 0 || length > uint64(len(b)-at-n) {
			return 0
		}
		number, m := gobUint(b[at+n:])
		if m == 0 {
			return 0
		}
		if number&1 == 0 { // the lowest bit is the sign
			return at
		}
		at += n + int(length)
	}
}

// gobUint reads an unsigned integer of n bytes, as gob writes it: one byte below 128, or the negated number of bytes that follow.
// n is 0 when there is none.
func gobUint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] < 128 {
		return uint64(b[0]), 1
	}
	n = int(-b[0])
	if n > 8 || len(b) < 1+n {
		return 0, 0
	}
	for _, c := range b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	return v, 1 + n
}
