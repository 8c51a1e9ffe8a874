package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/dotsgate/dotsgate/upstream"
)

// speaker is what we ask of gobgpd, in whichever dialect. Errors are those of grpc.
type speaker interface {
	// as is gobgpd's AS number; 0 while it has none, because it is not set up.
	as(ctx context.Context) (uint32, error)
	// announce puts a route into the global table, in the place of one to the same destination.
	announce(ctx context.Context, p path) error
	// withdraw takes a route out. One that is not there is no error.
	withdraw(ctx context.Context, p path) error
	// list tells of every route of a family in the global table, or only of those to the prefixes, where any are named.
	list(ctx context.Context, f family, prefixes []string, tell func(path)) error
	// peers are the neighbours.
	peers(ctx context.Context) ([]peer, error)
}

// peer is a neighbour of gobgpd.
type peer struct {
	established bool
	families    []family // that it can take; none: it told nothing, which means IPv4 unicast (RFC 4760, Section 8)
}

// takes reports whether routes of a family reach the peer.
func (p peer) takes(f family) bool {
	if !p.established {
		return false
	}
	if len(p.families) == 0 {
		return f == family{afiIPv4, safiUnicast}
	}
	for _, one := range p.families {
		if one == f {
			return true
		}
	}
	return false
}

// connect makes a connection to gobgpd that is not made again by itself: after a loss its table may be empty, and only Open looks.
func connect(c Config) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if c.TLS != nil {
		security = credentials.NewTLS(c.TLS)
	}
	network, where := target(c.Address)
	var dialled atomic.Bool
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errors.New("connection lost")
		}
		return new(net.Dialer).DialContext(ctx, network, where)
	}
	conn, err := grpc.NewClient("passthrough:///"+where, grpc.WithTransportCredentials(security), grpc.WithContextDialer(dial),
		grpc.WithNoProxy(), grpc.WithIdleTimeout(0), grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("connecting to gobgpd: %w", err)
	}
	return conn, nil
}

// detect finds the dialect of a gobgpd, and its AS number.
func detect(ctx context.Context, conn grpc.ClientConnInterface, api string) (speaker, uint32, error) {
	if api != APIv3 {
		s := newV4(conn)
		as, err := s.as(ctx)
		if status.Code(err) != codes.Unimplemented || api == APIv4 {
			return s, as, err
		}
	}
	s := newV3(conn)
	as, err := s.as(ctx)
	return s, as, err
}

// failed wraps an error of a call, and says where it means that gobgpd is gone, or as good as gone since it does not answer.
func failed(doing string, err error) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unimplemented:
		return fmt.Errorf("%s: %w: %w", doing, upstream.ErrGone, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// drain reads a stream to its end.
func drain[T any](recv func() (*T, error), tell func(*T)) error {
	for {
		m, err := recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		tell(m)
	}
}
