package bgp

import (
	"context"
	"strings"

	"google.golang.org/grpc"
)

// v3 speaks to gobgpd 3: the service apipb.GobgpApi. Its messages are written here by hand, as few as they are: the module with the
// generated ones gets no repairs any more, and has an open vulnerability, though of the speaker and not of the messages
// (GO-2026-4736). The tests hold the generated ones against these.
type v3 struct{ conn grpc.ClientConnInterface }

func newV3(conn grpc.ClientConnInterface) speaker { return v3{conn} }

// Fields of the messages of gobgp.proto, generation 3. A table type that is left out is the global table, and a kind of look-up
// that is left out is the exact one.
const (
	globalASN       = 1 // of Global, which is field 1 of GetBgpResponse
	addPath         = 3 // of AddPathRequest
	deleteFamily    = 3 // of DeletePathRequest
	deletePath      = 4
	listFamily      = 3 // of ListPathRequest
	listPrefixes    = 4
	listOnlyBinary  = 9
	destPaths       = 2 // of Destination, which is field 1 of ListPathResponse
	pathFamily      = 9 // of Path
	pathNeighbour   = 15
	pathNLRI        = 20
	pathAttributes  = 21
	peerState       = 5  // of Peer, which is field 1 of ListPeerResponse
	stateSession    = 13 // of PeerState
	stateRemoteCaps = 18 // each an Any
	familyAFI       = 1  // of Family
	familySAFI      = 2
	anyType         = 1 // of Any
	anyValue        = 2

	sessionEstablished = 6
	capMultiprotocol   = "/apipb.MultiProtocolCapability" // its field 1 is a Family
)

func (s v3) as(ctx context.Context) (uint32, error) {
	reply, err := s.invoke(ctx, "GetBgp", nil)
	if err != nil {
		return 0, err
	}
	parts, err := parse(reply)
	if err != nil {
		return 0, err
	}
	global, err := parse(parts.bytes(1))
	return uint32(global.number(globalASN)), err
}

func (s v3) announce(ctx context.Context, p path) error {
	_, err := s.invoke(ctx, "AddPath", message(nil).bytes(addPath, s.path(p)))
	return err
}

func (s v3) withdraw(ctx context.Context, p path) error {
	_, err := s.invoke(ctx, "DeletePath", message(nil).bytes(deleteFamily, s.family(p.family)).bytes(deletePath, s.path(p)))
	return err
}

func (s v3) list(ctx context.Context, f family, prefixes []string, tell func(path)) error {
	ask := message(nil).bytes(listFamily, s.family(f))
	for _, p := range prefixes {
		ask = ask.bytes(listPrefixes, message(nil).bytes(1, []byte(p)))
	}
	return s.stream(ctx, "ListPath", ask.number(listOnlyBinary, 1), func(destination fields) error {
		for _, b := range destination.all(destPaths) {
			p, err := parse(b)
			if err != nil {
				return err
			}
			tell(path{family: f, nlri: p.bytes(pathNLRI), attrs: p.all(pathAttributes), local: isLocal(string(p.bytes(pathNeighbour)))})
		}
		return nil
	})
}

func (s v3) peers(ctx context.Context) ([]peer, error) {
	var list []peer
	err := s.stream(ctx, "ListPeer", nil, func(one fields) error {
		state, err := parse(one.bytes(peerState))
		if err != nil {
			return err
		}
		p := peer{established: state.number(stateSession) == sessionEstablished}
		for _, c := range state.all(stateRemoteCaps) {
			if err := p.able(c); err != nil {
				return err
			}
		}
		list = append(list, p)
		return nil
	})
	return list, err
}

// able notes the family of a capability, if it is one of those.
func (p *peer) able(capability []byte) error {
	c, err := parse(capability)
	if err != nil || !strings.HasSuffix(string(c.bytes(anyType)), capMultiprotocol) {
		return err
	}
	m, err := parse(c.bytes(anyValue))
	if err != nil {
		return err
	}
	f, err := parse(m.bytes(1))
	p.families = append(p.families, family{uint16(f.number(familyAFI)), uint8(f.number(familySAFI))})
	return err
}

func (s v3) path(p path) message {
	m := message(nil).bytes(pathFamily, s.family(p.family)).bytes(pathNLRI, p.nlri)
	for _, a := range p.attrs {
		m = m.bytes(pathAttributes, a)
	}
	return m
}

func (v3) family(f family) message {
	return message(nil).number(familyAFI, uint64(f.afi)).number(familySAFI, uint64(f.safi))
}

// invoke makes a call with one answer.
func (s v3) invoke(ctx context.Context, method string, ask message) (message, error) {
	var reply message
	err := s.conn.Invoke(ctx, "/apipb.GobgpApi/"+method, &ask, &reply, grpc.ForceCodec(codec{}))
	return reply, err
}

// stream makes a call with any number of answers, and tells of what is in field 1 of each.
func (s v3) stream(ctx context.Context, method string, ask message, tell func(fields) error) error {
	answers, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/apipb.GobgpApi/"+method, grpc.ForceCodec(codec{}))
	if err != nil {
		return err
	}
	// SendMsg gives io.EOF where the stream has ended: why it did, RecvMsg says
	_ = answers.SendMsg(&ask)
	if err := answers.CloseSend(); err != nil {
		return err
	}
	var wrong error
	err = drain(func() (*message, error) {
		var m message
		return &m, answers.RecvMsg(&m)
	}, func(m *message) {
		outer, err := parse(*m)
		if err == nil {
			outer, err = parse(outer.bytes(1))
		}
		if err == nil && wrong == nil {
			err = tell(outer)
		}
		if wrong == nil {
			wrong = err
		}
	})
	if err != nil {
		return err
	}
	return wrong
}
