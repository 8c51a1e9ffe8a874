package app

import (
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/sqlite"
	"github.com/dotsgate/dotsgate/upstream"
)

// The seams, each declared by its caller: asserted once, here.
var (
	_ downstream.Core    = (*gateway.Gateway)(nil)
	_ gateway.Watchers   = (*downstream.Server)(nil)
	_ gateway.Uplinks    = (*upstream.Manager)(nil)
	_ upstream.Events    = (*gateway.Gateway)(nil)
	_ gateway.Resolver   = resolver{}
	_ gateway.Authorizer = authorizer{}
	_ gateway.Meter      = gatewayMeter{}
	_ downstream.Meter   = downstreamMeter{}
	_ upstream.Meter     = (*upstreamMeter)(nil)
	_ admin.Source       = (*App)(nil)
	_ admin.Commands     = orders{}
	_ store.Store        = (*sqlite.Store)(nil)
)
