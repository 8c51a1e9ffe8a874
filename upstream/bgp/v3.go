package bgp

import (
	"context"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/grpc"
)

// v3 speaks to gobgpd 3: the service apipb.GobgpApi. Its messages are those of v4 in another package, with other names and numbers
// for what is not said, so there is nothing that the two could share.
type v3 struct{ client api.GobgpApiClient }

func newV3(conn grpc.ClientConnInterface) speaker { return v3{api.NewGobgpApiClient(conn)} }

func (s v3) as(ctx context.Context) (uint32, error) {
	r, err := s.client.GetBgp(ctx, &api.GetBgpRequest{})
	return r.GetGlobal().GetAsn(), err
}

func (s v3) announce(ctx context.Context, p path) error {
	_, err := s.client.AddPath(ctx, &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: s.path(p)})
	return err
}

func (s v3) withdraw(ctx context.Context, p path) error {
	_, err := s.client.DeletePath(ctx, &api.DeletePathRequest{
		TableType: api.TableType_GLOBAL, Family: s.family(p.family), Path: s.path(p),
	})
	return err
}

func (s v3) list(ctx context.Context, f family, prefixes []string, tell func(path)) error {
	ask := &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: s.family(f), EnableOnlyBinary: true}
	for _, p := range prefixes {
		ask.Prefixes = append(ask.Prefixes, &api.TableLookupPrefix{Prefix: p, Type: api.TableLookupPrefix_EXACT})
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

func (s v3) peers(ctx context.Context) ([]peer, error) {
	stream, err := s.client.ListPeer(ctx, &api.ListPeerRequest{})
	if err != nil {
		return nil, err
	}
	var list []peer
	err = drain(stream.Recv, func(r *api.ListPeerResponse) {
		state := r.GetPeer().GetState()
		p := peer{established: state.GetSessionState() == api.PeerState_ESTABLISHED}
		for _, c := range state.GetRemoteCap() {
			var able api.MultiProtocolCapability
			if c.UnmarshalTo(&able) == nil { // it is one of many kinds
				p.families = append(p.families, family{uint16(able.GetFamily().GetAfi()), uint8(able.GetFamily().GetSafi())})
			}
		}
		list = append(list, p)
	})
	return list, err
}

func (s v3) path(p path) *api.Path {
	return &api.Path{Family: s.family(p.family), NlriBinary: p.nlri, PattrsBinary: p.attrs}
}

func (v3) family(f family) *api.Family {
	return &api.Family{Afi: api.Family_Afi(f.afi), Safi: api.Family_Safi(f.safi)}
}
