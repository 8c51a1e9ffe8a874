package bgp

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	v3api "github.com/osrg/gobgp/v3/api"
	v4api "github.com/osrg/gobgp/v4/api"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// daemon is a gobgpd without BGP: a table behind the API.
type daemon struct {
	t       *testing.T
	api     string
	address string
	server  *grpc.Server
	served  sync.WaitGroup
	options []grpc.ServerOption

	mu     sync.Mutex
	as     uint32
	routes map[string]path
	peers  []peer
	calls  []string // "announce", "withdraw", "list", in order
	looks  int      // calls of "list" that named prefixes
	// fail is asked before each call and may refuse it.
	fail func(what string) error
}

// newDaemon starts a daemon with a peer that takes everything. It listens on a socket, whose name nobody else takes over a restart.
func newDaemon(t *testing.T, api string) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "bgp") // not t.TempDir: the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{
		t: t, api: api, address: "unix://" + filepath.Join(dir, "api"), as: 64500,
		routes: map[string]path{}, peers: []peer{{established: true, families: families()}},
	}
	d.start()
	t.Cleanup(func() {
		d.stop()
		_ = os.RemoveAll(dir)
	})
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	l, err := net.Listen(target(d.address))
	if err != nil {
		d.t.Fatal(err)
	}
	d.server = grpc.NewServer(d.options...)
	if d.api == APIv3 {
		v3api.RegisterGobgpApiServer(d.server, &front3{d: d})
	} else {
		v4api.RegisterGoBgpServiceServer(d.server, &front4{d: d})
	}
	d.served.Go(func() { _ = d.server.Serve(l) }) // it ends with Stop
}

// stop ends the daemon, and its socket with it.
func (d *daemon) stop() {
	d.server.Stop()
	d.served.Wait()
}

// restart ends the daemon and starts it anew with an empty table.
func (d *daemon) restart() {
	d.stop()
	d.set(func() { clear(d.routes) })
	d.start()
}

// does notes a call, and does it unless it is to fail.
func (d *daemon) does(what string, do func()) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(what); err != nil {
			return err
		}
	}
	d.calls = append(d.calls, what)
	do()
	return nil
}

func (d *daemon) put(p path) error {
	return d.does("announce", func() { d.routes[p.id()] = p })
}

func (d *daemon) take(p path) error {
	return d.does("withdraw", func() { delete(d.routes, p.id()) })
}

// found returns the routes of a family, or those to some prefixes.
func (d *daemon) found(f family, prefixes []string) (list []path, err error) {
	err = d.does("list", func() {
		d.looks += min(len(prefixes), 1)
		for _, id := range slices.Sorted(maps.Keys(d.routes)) {
			p := d.routes[id]
			prefix, _ := p.prefixOf()
			if p.family == f && (len(prefixes) == 0 || slices.Contains(prefixes, prefix.String())) {
				list = append(list, p)
			}
		}
	})
	return list, err
}

// has returns the destinations in the table: prefixes as such, rules in hex.
func (d *daemon) has() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []string{}
	for _, p := range d.routes {
		list = append(list, shown(p))
	}
	slices.Sort(list)
	return list
}

// did returns how often a call was made since the last time, and forgets it.
func (d *daemon) did(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	d.calls = slices.DeleteFunc(d.calls, func(c string) bool {
		if c == what {
			n++
		}
		return c == what
	})
	return n
}

func (d *daemon) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func shown(p path) string {
	if prefix, ok := p.prefixOf(); ok {
		return prefix.String()
	}
	return newTable("").staleKey(p).CUID
}

func neighbour(local bool) string {
	if local {
		return "<nil>"
	}
	return netip.MustParseAddr("192.0.2.99").String()
}

// front3 is the API of gobgpd 3.
type front3 struct {
	v3api.UnimplementedGobgpApiServer
	d *daemon
}

func path3(p *v3api.Path) path {
	return path{
		family: family{uint16(p.GetFamily().GetAfi()), uint8(p.GetFamily().GetSafi())},
		nlri:   p.GetNlriBinary(), attrs: p.GetPattrsBinary(), local: true,
	}
}

func (f *front3) GetBgp(context.Context, *v3api.GetBgpRequest) (*v3api.GetBgpResponse, error) {
	r := &v3api.GetBgpResponse{Global: &v3api.Global{}}
	return r, f.d.does("as", func() { r.Global.Asn = f.d.as })
}

func (f *front3) AddPath(_ context.Context, r *v3api.AddPathRequest) (*v3api.AddPathResponse, error) {
	return &v3api.AddPathResponse{}, f.d.put(path3(r.GetPath()))
}

func (f *front3) DeletePath(_ context.Context, r *v3api.DeletePathRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, f.d.take(path3(r.GetPath()))
}

func (f *front3) ListPath(r *v3api.ListPathRequest, stream v3api.GobgpApi_ListPathServer) error {
	var prefixes []string
	for _, p := range r.GetPrefixes() {
		prefixes = append(prefixes, p.GetPrefix())
	}
	list, err := f.d.found(family{uint16(r.GetFamily().GetAfi()), uint8(r.GetFamily().GetSafi())}, prefixes)
	for _, p := range list {
		to := &v3api.Path{Family: r.GetFamily(), NlriBinary: p.nlri, PattrsBinary: p.attrs, NeighborIp: neighbour(p.local)}
		if err := stream.Send(&v3api.ListPathResponse{Destination: &v3api.Destination{Paths: []*v3api.Path{to}}}); err != nil {
			return err
		}
	}
	return err
}

func (f *front3) ListPeer(_ *v3api.ListPeerRequest, stream v3api.GobgpApi_ListPeerServer) error {
	var list []peer
	if err := f.d.does("peers", func() { list = f.d.peers }); err != nil {
		return err
	}
	for _, p := range list {
		state := &v3api.PeerState{SessionState: v3api.PeerState_ACTIVE}
		if p.established {
			state.SessionState = v3api.PeerState_ESTABLISHED
		}
		for _, fam := range p.families {
			c, err := anypb.New(&v3api.MultiProtocolCapability{
				Family: &v3api.Family{Afi: v3api.Family_Afi(fam.afi), Safi: v3api.Family_Safi(fam.safi)},
			})
			if err != nil {
				return err
			}
			other, err := anypb.New(&v3api.RouteRefreshCapability{})
			if err != nil {
				return err
			}
			state.RemoteCap = append(state.RemoteCap, c, other)
		}
		if err := stream.Send(&v3api.ListPeerResponse{Peer: &v3api.Peer{State: state}}); err != nil {
			return err
		}
	}
	return nil
}

// front4 is the API of gobgpd 4.
type front4 struct {
	v4api.UnimplementedGoBgpServiceServer
	d *daemon
}

func path4(p *v4api.Path) path {
	return path{
		family: family{uint16(p.GetFamily().GetAfi()), uint8(p.GetFamily().GetSafi())},
		nlri:   p.GetNlriBinary(), attrs: p.GetPattrsBinary(), local: true,
	}
}

func (f *front4) GetBgp(context.Context, *v4api.GetBgpRequest) (*v4api.GetBgpResponse, error) {
	r := &v4api.GetBgpResponse{Global: &v4api.Global{}}
	return r, f.d.does("as", func() { r.Global.Asn = f.d.as })
}

func (f *front4) AddPath(_ context.Context, r *v4api.AddPathRequest) (*v4api.AddPathResponse, error) {
	return &v4api.AddPathResponse{}, f.d.put(path4(r.GetPath()))
}

func (f *front4) DeletePath(_ context.Context, r *v4api.DeletePathRequest) (*v4api.DeletePathResponse, error) {
	return &v4api.DeletePathResponse{}, f.d.take(path4(r.GetPath()))
}

func (f *front4) ListPath(r *v4api.ListPathRequest, stream grpc.ServerStreamingServer[v4api.ListPathResponse]) error {
	var prefixes []string
	for _, p := range r.GetPrefixes() {
		prefixes = append(prefixes, p.GetPrefix())
	}
	list, err := f.d.found(family{uint16(r.GetFamily().GetAfi()), uint8(r.GetFamily().GetSafi())}, prefixes)
	for _, p := range list {
		to := &v4api.Path{Family: r.GetFamily(), NlriBinary: p.nlri, PattrsBinary: p.attrs}
		if !p.local {
			to.NeighborIp = neighbour(false)
		}
		if err := stream.Send(&v4api.ListPathResponse{Destination: &v4api.Destination{Paths: []*v4api.Path{to}}}); err != nil {
			return err
		}
	}
	return err
}

func (f *front4) ListPeer(_ *v4api.ListPeerRequest, stream grpc.ServerStreamingServer[v4api.ListPeerResponse]) error {
	var list []peer
	if err := f.d.does("peers", func() { list = f.d.peers }); err != nil {
		return err
	}
	for _, p := range list {
		state := &v4api.PeerState{SessionState: v4api.PeerState_SESSION_STATE_ACTIVE}
		if p.established {
			state.SessionState = v4api.PeerState_SESSION_STATE_ESTABLISHED
		}
		for _, fam := range p.families {
			state.RemoteCap = append(state.RemoteCap,
				&v4api.Capability{Cap: &v4api.Capability_RouteRefresh{RouteRefresh: &v4api.RouteRefreshCapability{}}},
				&v4api.Capability{Cap: &v4api.Capability_MultiProtocol{MultiProtocol: &v4api.MultiProtocolCapability{
					Family: &v4api.Family{Afi: v4api.Family_Afi(fam.afi), Safi: v4api.Family_Safi(fam.safi)},
				}}})
		}
		if err := stream.Send(&v4api.ListPeerResponse{Peer: &v4api.Peer{State: state}}); err != nil {
			return err
		}
	}
	return nil
}
