package bgp

import (
	"context"
	"net/netip"

	"github.com/osrg/gobgp/v4/api"
	"google.golang.org/grpc"
)

// v4 speaks to gobgpd 4: the service api.GoBgpService.
type v4 struct{ client api.GoBgpServiceClient }

func newV4(conn grpc.ClientConnInterface) speaker { return v4{api.NewGoBgpServiceClient(conn)} }

func (s v4) as(ctx context.Context) (uint32, error) {
	r, err := s.client.GetBgp(ctx, &api.GetBgpRequest{})
	return r.GetGlobal().GetAsn(), err
}

func (s v4) announce(ctx context.Context, p path) error {
	_, err := s.client.AddPath(ctx, &api.AddPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Path: s.path(p)})
	return err
}

func (s v4) withdraw(ctx context.Context, p path) error {
	_, err := s.client.DeletePath(ctx, &api.DeletePathRequest{
		TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: s.family(p.family), Path: s.path(p),
	})
	return err
}

func (s v4) list(ctx context.Context, f family, prefixes []string, tell func(path)) error {
	ask := &api.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: s.family(f), EnableOnlyBinary: true}
	for _, p := range prefixes {
		ask.Prefixes = append(ask.Prefixes, &api.TableLookupPrefix{Prefix: p, Type: api.TableLookupPrefix_TYPE_EXACT})
	}
	stream, err := s.client.ListPath(ctx, ask)
	if err != nil {
		return err
	}
	return drain(stream.Recv, func(r *api.ListPathResponse) {
		for _, p := range r.GetDestination().GetPaths() {
			tell(path{family: f, nlri: p.GetNlriBinary(), attrs: p.GetPattrsBinary(), local: isLocal(p.GetNeighborIp())})
		}
	})
}

func (s v4) peers(ctx context.Context) ([]peer, error) {
	stream, err := s.client.ListPeer(ctx, &api.ListPeerRequest{})
	if err != nil {
		return nil, err
	}
	var list []peer
	err = drain(stream.Recv, func(r *api.ListPeerResponse) {
		state := r.GetPeer().GetState()
		p := peer{established: state.GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED}
		for _, c := range state.GetRemoteCap() {
			if f := c.GetMultiProtocol().GetFamily(); f != nil {
				p.families = append(p.families, family{uint16(f.GetAfi()), uint8(f.GetSafi())})
			}
		}
		list = append(list, p)
	})
	return list, err
}

func (s v4) path(p path) *api.Path {
	return &api.Path{Family: s.family(p.family), NlriBinary: p.nlri, PattrsBinary: p.attrs}
}

func (v4) family(f family) *api.Family {
	return &api.Family{Afi: api.Family_Afi(f.afi), Safi: api.Family_Safi(f.safi)}
}

// isLocal reports whether a route has no neighbour it came from: then gobgpd gives none, or words that are no address.
func isLocal(neighbour string) bool {
	ip, err := netip.ParseAddr(neighbour)
	return err != nil || ip.IsUnspecified()
}
