package bgp

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v3api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestMessagesOfV3 compares what is written by hand with the generated messages, in both directions.
func TestMessagesOfV3(t *testing.T) {
	p := path{family: family{afiIPv6, safiFlowspec}, nlri: []byte{5, 1, 24, 192, 0, 2}, attrs: [][]byte{{0x40, 1, 1, 0}, {0xc0, 32, 0}}}
	want := &v3api.AddPathRequest{TableType: v3api.TableType_GLOBAL, Path: &v3api.Path{
		Family:     &v3api.Family{Afi: v3api.Family_AFI_IP6, Safi: v3api.Family_SAFI_FLOW_SPEC_UNICAST},
		NlriBinary: p.nlri, PattrsBinary: p.attrs,
	}}
	got := new(v3api.AddPathRequest)
	if err := proto.Unmarshal(message(nil).bytes(addPath, v3{}.path(p)), got); err != nil || !proto.Equal(want, got) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// TestCapabilitiesOfV3: among the many kinds there are, those of families are found, wherever their type's name is kept.
func TestCapabilitiesOfV3(t *testing.T) {
	var p peer
	for _, m := range []proto.Message{
		&v3api.RouteRefreshCapability{},
		&v3api.MultiProtocolCapability{Family: &v3api.Family{Afi: v3api.Family_AFI_IP, Safi: v3api.Family_SAFI_UNICAST}},
		&v3api.FourOctetASNCapability{Asn: 64500},
		&v3api.MultiProtocolCapability{Family: &v3api.Family{Afi: v3api.Family_AFI_IP6, Safi: v3api.Family_SAFI_FLOW_SPEC_UNICAST}},
	} {
		c, err := anypb.New(m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.able(b); err != nil {
			t.Errorf("%T: %v", m, err)
		}
	}
	want := []family{{afiIPv4, safiUnicast}, {afiIPv6, safiFlowspec}}
	if diff := cmp.Diff(want, p.families, cmp.AllowUnexported(family{})); diff != "" {
		t.Errorf("families (-want +got)\n%s", diff)
	}
	for name, b := range map[string]string{
		"cut off":          "\x0a\x05abc",
		"value cut off":    "\x0a\x1e/apipb.MultiProtocolCapability\x12\x02\x0a\x05",
		"family cut off":   "\x0a\x1e/apipb.MultiProtocolCapability\x12\x03\x0a\x01\x08",
		"field number 0":   "\x02\x00",
		"an endless count": strings.Repeat("\xff", 11),
	} {
		if err := p.able([]byte(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParse(t *testing.T) {
	m := message(nil).number(1, 300).bytes(2, []byte("a")).bytes(2, []byte("b"))
	m = append(m, 0x1d, 1, 2, 3, 4) // field 3: four octets, which is no kind of ours
	f, err := parse(m.number(1, 7))
	if err != nil {
		t.Fatal(err)
	}
	if f.number(1) != 7 || string(f.bytes(2)) != "b" || len(f.all(2)) != 2 || f.number(3) != 0 || f.bytes(9) != nil {
		t.Errorf("got %v", f)
	}
	for cut := 1; cut < len(m); cut++ {
		f, err := parse(m[:cut])
		if whole := cut == 3 || cut == 6 || cut == 9; (err == nil) != whole {
			t.Errorf("the first %d octets: %v, %v", cut, f, err)
		}
	}
}

func TestCodecRefusesWhatIsNoMessage(t *testing.T) {
	if _, err := (codec{}).Marshal("text"); err == nil {
		t.Error("a text was marshalled")
	}
	if err := (codec{}).Unmarshal(nil, new(string)); err == nil {
		t.Error("a text was unmarshalled")
	}
}

// TestNonsenseOfGobgpd: answers that cannot be read fail, each in its way to be tried again, and nothing hangs.
func TestNonsenseOfGobgpd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nonsense := message{0x0a, 0x7f, 1}
	server := grpc.NewServer(grpc.ForceServerCodec(codec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var ask message
		if err := s.RecvMsg(&ask); err != nil {
			return err
		}
		return s.SendMsg(&nonsense)
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	c := good()
	c.Address = l.Addr().String()
	conn, err := connect(c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, ctx := newV3(conn), context.Background()
	if _, err := s.as(ctx); err == nil {
		t.Error("an AS number was read")
	}
	if list, err := s.peers(ctx); err == nil {
		t.Errorf("peers %v were read", list)
	}
	if err := s.list(ctx, families()[0], nil, func(p path) { t.Errorf("route %v was read", p) }); err == nil {
		t.Error("a table was read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(message(nil).number(1, 300).bytes(2, []byte("a"))))
	f.Add([]byte("\x0a\x1e/apipb.MultiProtocolCapability\x12\x06\x0a\x04\x08\x01\x10\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parse(b)
		if err != nil {
			return
		}
		var again message
		for field, v := range got.numbers {
			again = again.number(field, v)
		}
		for field, list := range got.lists {
			for _, v := range list {
				again = again.bytes(field, v)
			}
		}
		back, err := parse(again)
		if err != nil {
			t.Fatalf("%x is read, and not once more: %v", b, err)
		}
		for field := range got.lists {
			if !bytes.Equal(bytes.Join(got.all(field), nil), bytes.Join(back.all(field), nil)) {
				t.Errorf("field %d of %x comes back changed", field, b)
			}
		}
		_ = new(peer).able(b) // it may be one or not
	})
}
