package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestStateRoundTrip(t *testing.T) {
	for _, s := range []State{
		someState(""), mirror(someState("")), someState("a cid"), mirror(someState("a cid")), someState(strings.Repeat("x", 255)),
		{Suite: 0xffff, MasterSecret: make([]byte, 48), LocalSequence: 1 << 48, RemoteSequence: 1 << 48, LocalCID: []byte("a"), RemoteCID: []byte("bc")},
	} {
		got := carried(t, s)
		for _, cid := range []*[]byte{&s.LocalCID, &s.RemoteCID} {
			if len(*cid) == 0 {
				*cid = nil
			}
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("read %v, wrote %v", got, s)
		}
	}
}

func TestStateRefused(t *testing.T) {
	good, err := someState("a cid").MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, b byte) []byte {
		changed := bytes.Clone(good)
		changed[at] = b
		return changed
	}
	bad := map[string][]byte{
		"nothing": nil, "more": append(bytes.Clone(good), 0), "another version": edit(0, 2), "neither end": edit(3, 2),
		"a long sequence number": edit(4+48+64, 1), "a long connection ID": edit(len(good)-7, 200),
	}
	for n := range good {
		bad[fmt.Sprintf("cut after %d", n)] = good[:n]
	}
	for name, b := range bad {
		s := someState("as it was")
		if err := s.UnmarshalBinary(b); err == nil || !reflect.DeepEqual(s, someState("as it was")) {
			t.Errorf("%s: UnmarshalBinary() = %v, %v", name, err, s)
		}
	}
}

func TestStateChecked(t *testing.T) {
	for name, change := range map[string]func(*State){
		"short secret":   func(s *State) { s.MasterSecret = s.MasterSecret[1:] },
		"long local":     func(s *State) { s.LocalCID = make([]byte, 256) },
		"long remote":    func(s *State) { s.RemoteCID = make([]byte, 256) },
		"local at 2^48":  func(s *State) { s.LocalSequence = 1<<48 + 1 },
		"remote at 2^48": func(s *State) { s.RemoteSequence = 1<<48 + 1 },
	} {
		s := someState("")
		change(&s)
		if _, err := s.MarshalBinary(); err == nil {
			t.Errorf("%s: MarshalBinary() succeeded", name)
		}
		if _, err := New(s); err == nil {
			t.Errorf("%s: New() succeeded", name)
		}
	}
	s := someState("")
	s.Suite = 0xc0ac // a CCM suite
	if _, err := New(s); !errors.Is(err, ErrSuite) {
		t.Errorf("New() = %v", err)
	}
}

// Nothing that writes values shows the secrets.
func TestStateShowsNoSecret(t *testing.T) {
	s := someState("a cid")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "state", s, "pointer", &s, "all", []State{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "state", s, "pointer", &s, "all", []State{s})
	text := log.String()
	l := newLayer(t, s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		text += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, []State{s}) + fmt.Sprintf(verb, l) + fmt.Sprintf(verb, []any{l})
	}
	for _, secret := range []string{"[0 1 2 3", "00010203", "0x0, 0x1", "AAECAw", hex.EncodeToString(s.MasterSecret[20:24]), "MasterSecret", "aead"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is shown in %s", secret, text)
		}
	}
	if want := "record.State(suite 0xc02b, client false)"; fmt.Sprint(s) != want {
		t.Errorf("Sprint() = %s, want %s", fmt.Sprint(s), want)
	}
}
