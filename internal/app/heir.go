package app

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/downstream"
	"github.com/dotsgate/dotsgate/gateway"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// Heir is a process that takes over from a running gateway (see handover.go).
type Heir struct {
	pipe     *pipe
	token    []byte
	wants    []string
	sockets  map[string][]*os.File
	sessions []*sessionParcel // nil once they are resumed
	secret   []byte
	// redirects are the operator's words of where clients are to go.
	redirects []downstream.Redirection
}

// Inherit returns what a gateway has left to this process, which it has started to take over; nil: it was started by somebody
// else. Processes that this one starts are not told.
func Inherit() (*Heir, error) {
	text := os.Getenv(envHandover)
	if text == "" {
		return nil, nil //nolint:nilnil // there is nothing to inherit, and nothing wrong
	}
	if err := os.Unsetenv(envHandover); err != nil {
		return nil, fmt.Errorf("taking over: %w", err)
	}
	fd, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("taking over: %s=%q names no descriptor", envHandover, text)
	}
	conn, err := connOf(os.NewFile(uintptr(fd), "hand-over"))
	if err != nil {
		return nil, fmt.Errorf("taking over: %w", err)
	}
	return newHeir(newPipe(conn)), nil
}

func newHeir(p *pipe) *Heir { return &Heir{pipe: p, sockets: map[string][]*os.File{}} }

// Build is the function Build for a gateway that takes over from a running one, which goes on until all has been read and
// checked. When it fails, that one is told why. A nil Heir builds a gateway that takes over from nobody.
func (h *Heir) Build(ctx context.Context, cfg *config.Config, log *slog.Logger, version string) (*App, error) {
	a, err := newApp(cfg, log, h).build(ctx, version)
	if err != nil {
		h.Fail(err)
	}
	return a, err
}

// Fail tells the process before why this one does not take over. A nil Heir tells nobody.
func (h *Heir) Fail(why error) {
	if h == nil {
		return
	}
	if h.token == nil {
		_ = h.greet() // what is said to one that has not listened is lost
	}
	_ = h.pipe.send(time.Now().Add(time.Second), parcel{Failed: why.Error()}) // it notices that we are gone
	h.drop()
}

// drop gives up what was left and is not used.
func (h *Heir) drop() {
	for _, files := range h.sockets {
		closeFiles(files)
	}
	h.sockets, h.sessions = nil, nil
	h.pipe.close()
}

// greet hears what the process before begins with.
func (h *Heir) greet() error {
	said, files, err := h.pipe.receive(time.Now().Add(readyWithin))
	closeFiles(files)
	switch {
	case err != nil:
		return fmt.Errorf("taking over: %w", err)
	case said.Hello == nil:
		return fmt.Errorf("taking over: %w", errParcel)
	case said.Hello.Version != handoverVersion:
		return fmt.Errorf("taking over: %w", errVersion)
	}
	h.token = said.Hello.Token
	return nil
}

// await says that all is ready that needs neither sockets nor store, and takes what is left.
func (h *Heir) await(cfg *config.Config) error {
	if err := h.greet(); err != nil {
		return err
	}
	h.wants = places(cfg)
	until := time.Now().Add(readyWithin)
	if err := h.pipe.send(until, parcel{Ready: &readyParcel{Version: handoverVersion, Token: h.token, Places: h.wants}}); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	for {
		said, files, err := h.pipe.receive(time.Now().Add(stopWithin + finishWithin))
		if err != nil {
			return fmt.Errorf("taking over: %w", err)
		}
		if last, err := h.take(said, files); last || err != nil {
			return err
		}
	}
}

// take takes one of the things that are left, and reports whether it was the last.
func (h *Heir) take(said parcel, files []*os.File) (last bool, err error) {
	switch {
	case said.Failed != "":
		closeFiles(files)
		return false, fmt.Errorf("taking over: the process before goes on: %s", said.Failed)
	case said.Sockets != nil && said.Sockets.Files == len(files) && h.sockets[said.Sockets.Place] == nil && slices.Contains(h.wants, said.Sockets.Place):
		h.sockets[said.Sockets.Place] = files
		return false, nil
	}
	closeFiles(files)
	switch {
	case said.Session != nil && said.Session.Number == len(h.sessions)+1:
		h.sessions = append(h.sessions, said.Session)
		return false, nil
	case said.Given != nil && said.Given.Sessions == len(h.sessions) && bytes.Equal(said.Given.Token, h.token):
		h.secret, h.redirects = said.Given.Secret, said.Given.Redirects
		return true, nil
	}
	return false, fmt.Errorf("taking over: %w", errParcel)
}

// files are the sockets of a place; nil: there are none, and they are to be bound.
func (h *Heir) files(place string) []*os.File {
	if h == nil {
		return nil
	}
	return h.sockets[place]
}

// file is the one socket of a place.
func (h *Heir) file(place string) *os.File {
	if files := h.files(place); len(files) > 0 {
		return files[0]
	}
	return nil
}

// resume goes on with the sessions of the process before, each once. The core and the server half are running, and nothing is read yet.
func (a *App) resume() {
	if a.heir == nil {
		return
	}
	a.awaitCore()
	a.sendOn(a.heir.redirects)
	sessions := a.heir.sessions
	a.heir.sessions = nil
	places, resumed := places(a.cfg), 0
	for _, s := range sessions {
		i := slices.Index(places, s.Place)
		if i < 0 || i >= len(a.servers) {
			continue
		}
		from := a.froms[i]
		err := a.servers[i].Resume(s.Session, func(session *coap.Session) error { return a.downstream.Resume(session, from, s.Server) })
		if err != nil {
			a.log.Warn("a session of the process before does not go on", "peer", s.Session.Conn.To.Peer.String(), "error", err.Error())
			continue
		}
		resumed++
	}
	a.log.Info("sessions of the process before go on", "sessions", resumed, "not", len(sessions)-resumed)
}

// awaitCore waits until the core has begun: only then the server half knows who is under attack, by which parameters a session's silence is judged, and who
// must not be sent away.
func (a *App) awaitCore() {
	ctx, cancel := context.WithTimeout(context.Background(), serveWithin/3) // the process before waits for all of it
	defer cancel()
	if err := a.gateway.Look(ctx, func(*gateway.Core) {}); err != nil {
		a.log.Warn("sessions of the process before go on without the core", "error", err.Error())
	}
}

// sendOn goes on with the operator's redirects of the process before.
func (a *App) sendOn(redirects []downstream.Redirection) {
	for _, r := range redirects {
		if err := a.downstream.Redirect(r); err != nil {
			a.log.Warn("a redirect of the process before does not go on", "to", r.To.Server, "error", err.Error())
		}
	}
}

// took tells the process before that this one serves. One that has gone needs not to know.
func (a *App) took() {
	if a.heir == nil {
		return
	}
	if err := a.heir.pipe.send(time.Now().Add(readyWithin), parcel{Running: true}); err != nil {
		a.log.Warn("the process before has gone without waiting for this one", "error", err.Error())
	}
	a.heir.drop()
}

// listenerOf is what the server half must know of a listener, and how many sessions its door lets in.
func listenerOf(l config.Listener) (from downstream.Listener, most int) {
	from = downstream.Listener{Profiles: l.Profiles, ClientDomain: l.ClientDomain, Anycast: l.Anycast}
	to := l.RedirectTo
	if to.Server == "" {
		return from, l.MaxSessions
	}
	most = cmp.Or(l.MaxSessions, coap.DefaultMaxSessions)
	r := dots.Redirect{Server: to.Server}
	for _, addr := range to.Addresses {
		r.Records = append(r.Records, addr.String())
	}
	from.Overflow = downstream.NewOverflow(most, r)
	return from, most + downstream.OverflowRoom(most)
}
