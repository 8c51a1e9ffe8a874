package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
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

// Redirect sends clients to another server, or serves them here again.
func (o orders) Redirect(_ context.Context, r admin.Redirection) error {
	to := downstream.Redirection{To: dots.Redirect{Server: r.Server, Records: r.Addresses}, TTL: time.Duration(r.TTL) * time.Second}
	switch p := o.policy(); {
	case r.All == (r.Name != ""):
		return errors.New("name a client or a domain, or all")
	case r.All:
	case p.Domain(r.Name) != "":
		to.Client = r.Name
	case p.HasDomain(r.Name):
		to.Domain = r.Name
	case !r.Off: // what is not configured any more can be taken back
		return fmt.Errorf("no client or domain %q", r.Name)
	}
	if r.Off {
		return o.undirect(r.Name)
	}
	if err := o.downstream.Redirect(to); err != nil {
		return err
	}
	o.log.Info("clients are sent to another server by command", "whose", whose(r.Name), "to", r.Server, "ttl", to.TTL.String())
	return nil
}

// undirect takes back what was ordered for a name, be it a client's or a domain's by now.
func (o orders) undirect(name string) error {
	client, domain := o.downstream.Undirect(name, ""), name != "" && o.downstream.Undirect("", name)
	if !client && !domain {
		return fmt.Errorf("no redirect of %s clients is in force", whose(name))
	}
	o.log.Info("clients are served here again by command", "whose", whose(name))
	return nil
}

// whose clients an order is about, in words.
func whose(name string) string {
	if name == "" {
		return "all"
	}
	return name
}
