package app

import (
	"context"
	"errors"

	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/config"
)

// orders are the operator's commands, as the admin socket gives them.
type orders struct{ *App }

// Reload reads the configuration again, and logs what becomes of it as for a signal.
func (o orders) Reload(ctx context.Context) error {
	o.log.Info("reload ordered by the operator")
	err := o.App.Reload(ctx)
	o.tellReload(err)
	if bad := (config.Errors{}); errors.As(err, &bad) {
		return admin.Mistakes(each(err))
	}
	return err
}

// Drain empties an uplink, or uses it again.
func (o orders) Drain(ctx context.Context, uplink string, on bool) error {
	return o.gateway.Drain(ctx, uplink, on)
}

// Recurse hands a mitigation on from the local mitigators.
func (o orders) Recurse(ctx context.Context, r admin.Recursion) error {
	return o.gateway.Recurse(ctx, gateway.RecurseOrder{Client: r.Client, CUID: r.CUID, CDID: r.CDID, MID: r.MID, Uplink: r.Uplink, Off: r.Off})
}
