package record

import (
	"bytes"
	"encoding/gob"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/pion/dtls/v3"
)

// The shape of the library's encoding: every field that is read is there, under its name and with its type.
func TestExportShape(t *testing.T) {
	server, client := shake(t, suites()["cid"])
	for name, e := range map[string]end{"server": server, "client": client} {
		state, _ := e.conn.ConnectionState()
		b, err := state.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var read exported
		if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&read); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v := reflect.ValueOf(read)
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if v.Field(i).IsZero() && !(field == "IsClient" && name == "server") {
				t.Errorf("%s: %s is zero", name, field)
			}
			if !bytes.Contains(b, []byte(field)) {
				t.Errorf("%s: no field %s", name, field)
			}
		}
	}
}

func TestExport(t *testing.T) {
	server, client := shake(t, suites()["cid"])
	for range 4 {
		if _, err := client.conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := server.conn.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	s, c := server.export(t), client.export(t)
	if s.IsClient || !c.IsClient {
		t.Errorf("IsClient: server %t, client %t", s.IsClient, c.IsClient)
	}
	// The Finished are the records number 0.
	if s.LocalSequence != 1 || s.RemoteSequence != 5 || c.LocalSequence != 5 || c.RemoteSequence != 1 {
		t.Errorf("sequences: server %d and %d, client %d and %d", s.LocalSequence, s.RemoteSequence, c.LocalSequence, c.RemoteSequence)
	}
	if len(s.LocalCID) != 8 || len(s.RemoteCID) != 5 {
		t.Errorf("connection IDs %x and %x", s.LocalCID, s.RemoteCID)
	}
	if !reflect.DeepEqual(mirror(s), c) {
		t.Error("the two ends do not mirror each other")
	}
}

func TestExportWithoutCertificates(t *testing.T) {
	_, client := shake(t, suites()["ecdsa-128"])
	want := client.export(t)
	state, _ := client.conn.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		t.Fatal("no certificate")
	}
	state.PeerCertificates = nil
	if got, err := Export(&state); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Export() = %v, %v", got, err)
	}
}

func TestExportOtherSuites(t *testing.T) {
	for _, suite := range []dtls.CipherSuiteID{
		dtls.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_PSK_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_128_CBC_SHA256,
	} {
		server, _ := shake(t, setup{suite: suite, psk: true})
		state, _ := server.conn.ConnectionState()
		if _, err := Export(&state); !errors.Is(err, ErrSuite) {
			t.Errorf("%v: Export() = %v", suite, err)
		}
	}
}

func TestExportTooEarly(t *testing.T) {
	if _, err := Export(&dtls.State{CipherSuiteID: dtls.TLS_PSK_WITH_AES_128_GCM_SHA256}); err == nil {
		t.Error("a state without handshake is exported")
	}
}

// finished is an encoding as the library makes it.
func finished() exported {
	return exported{
		RemoteSequenceNumber: 1, HandshakeComplete: true, LocalEpoch: 1, RemoteEpoch: 1,
		LocalRandom: [32]byte{1}, RemoteRandom: [32]byte{2}, CipherSuiteID: 0x00a8, MasterSecret: make([]byte, 48), SequenceNumber: 1,
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What another release of the library might write is refused, and never half read.
func TestDecodeOtherShapes(t *testing.T) {
	if _, err := new(Exporter).decode(encoded(t, finished()), 0x00a8); err != nil {
		t.Fatalf("decode() = %v", err)
	}
	for name, change := range map[string]func(*exported){
		"handshake under way":     func(e *exported) { e.HandshakeComplete = false },
		"no local epoch":          func(e *exported) { e.LocalEpoch = 0 },
		"another remote epoch":    func(e *exported) { e.RemoteEpoch = 2 },
		"another suite":           func(e *exported) { e.CipherSuiteID = 0xc02b },
		"no local random":         func(e *exported) { e.LocalRandom = [32]byte{} },
		"no remote random":        func(e *exported) { e.RemoteRandom = [32]byte{} },
		"no sequence number":      func(e *exported) { e.SequenceNumber = 0 },
		"no remote sequence":      func(e *exported) { e.RemoteSequenceNumber = 0 },
		"a long sequence":         func(e *exported) { e.SequenceNumber = maxSequence + 2 },
		"no master secret":        func(e *exported) { e.MasterSecret = nil },
		"a short master secret":   func(e *exported) { e.MasterSecret = e.MasterSecret[1:] },
		"a hashed connection ID?": func(e *exported) { e.LocalConnectionID = make([]byte, 256) },
	} {
		e := finished()
		change(&e)
		if _, err := new(Exporter).decode(encoded(t, e), 0x00a8); !errors.Is(err, errShape) {
			t.Errorf("%s: decode() = %v", name, err)
		}
	}
}

func TestDecodeRenamedFields(t *testing.T) {
	whole := reflect.TypeFor[exported]()
	for i := range whole.NumField() {
		fields := reflect.VisibleFields(whole)
		fields[i].Name = "Other" + strings.ToLower(fields[i].Name)
		renamed := reflect.New(reflect.StructOf(fields)).Elem()
		for j := range whole.NumField() {
			renamed.Field(j).Set(reflect.ValueOf(finished()).Field(j))
		}
		if _, err := new(Exporter).decode(encoded(t, renamed.Interface()), 0x00a8); !errors.Is(err, errShape) {
			t.Errorf("%s called otherwise: decode() = %v", whole.Field(i).Name, err)
		}
	}
}

func TestDecodeRubbish(t *testing.T) {
	good := encoded(t, finished())
	for n := range good {
		if _, err := new(Exporter).decode(good[:n], 0x00a8); !errors.Is(err, errShape) {
			t.Fatalf("cut after %d bytes: decode() = %v", n, err)
		}
	}
	type retyped struct{ MasterSecret string }
	if _, err := new(Exporter).decode(encoded(t, retyped{"x"}), 0x00a8); !errors.Is(err, errShape) {
		t.Errorf("decode() = %v", err)
	}
}

// One Exporter reads the states of many sessions, whatever their ends, suites and connection IDs.
func TestExporter(t *testing.T) {
	var exporter Exporter
	for name, s := range suites() {
		server, client := shake(t, s)
		for _, e := range []end{server, client, server} {
			state, _ := e.conn.ConnectionState()
			if got, err := exporter.Export(&state); err != nil || !reflect.DeepEqual(got, e.export(t)) {
				t.Fatalf("%s: Export() = %v, %v", name, got, err)
			}
		}
		if len(exporter.description) == 0 {
			t.Fatal("nothing is remembered")
		}
	}
}

func TestExporterCheck(t *testing.T) {
	var exporter Exporter
	server, _ := shake(t, suites()["psk-128"])
	state, _ := server.conn.ConnectionState()
	if err := exporter.Check(&dtls.State{CipherSuiteID: state.CipherSuiteID}); err == nil || errors.Is(err, ErrSuite) {
		t.Errorf("Check() = %v without a handshake", err)
	}
	for range 2 {
		if err := exporter.Check(&state); err != nil {
			t.Errorf("Check() = %v", err)
		}
	}
	other := dtls.State{CipherSuiteID: dtls.TLS_PSK_WITH_AES_128_CCM_8}
	if err := exporter.Check(&other); !errors.Is(err, ErrSuite) {
		t.Errorf("Check() = %v for CCM", err)
	}
}

// A state that cannot be read does no harm to the next ones, and neither does another description.
func TestExporterGoesOn(t *testing.T) {
	type fewer struct{ MasterSecret []byte }
	var exporter Exporter
	good := encoded(t, finished())
	description := describes(good)
	for name, bad := range map[string][]byte{
		"nothing":                nil,
		"cut in the value":       good[:len(good)-1],
		"cut in the description": good[:description-1],
		"no value":               good[:description],
		"two values":             append(bytes.Clone(good), good[description:]...),
		"another description":    encoded(t, fewer{[]byte("x")}),
	} {
		for range 2 {
			if _, err := exporter.decode(bad, 0x00a8); !errors.Is(err, errShape) {
				t.Errorf("%s: decode() = %v", name, err)
			}
			want := finished()
			if got, err := exporter.decode(good, 0x00a8); err != nil || !reflect.DeepEqual(got, want.state()) {
				t.Errorf("after %s: decode() = %v, %v", name, got, err)
			}
		}
	}
}

// The numbers of the documentation of encoding/gob.
func TestGobUint(t *testing.T) {
	for _, c := range []struct {
		b string
		v uint64
		n int
	}{
		{"", 0, 0},
		{"\x00", 0, 1},
		{"\x07rest", 7, 1},
		{"\x7f", 127, 1},
		{"\xfe\x01\x00rest", 256, 3},
		{"\xfe\x01", 0, 0},
		{"\xf8\xff\xff\xff\xff\xff\xff\xff\xff", 1<<64 - 1, 9},
		{"\xf7\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, 0},
		{"\x80", 0, 0},
	} {
		if v, n := gobUint([]byte(c.b)); v != c.v || n != c.n {
			t.Errorf("gobUint(%x) = %d, %d", c.b, v, n)
		}
	}
}
