package app

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/internal/admin"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
)

// A running gateway hands over to a new process of its program, which goes on with its sockets and with its clients' sessions:
//
//  1. old: has the program check the configuration, and starts it (launch.go).
//  2. new: reads and checks all that needs neither sockets nor store, says which sockets it wants, and gets duplicates of
//     them (heir.go). Until here the old one goes on, whatever happens to the new one.
//  3. old: lets nobody new in, says good-bye over TLS, and reads no more from UDP, where what comes waits in the sockets;
//     answers what it was asked, ends its parts in the order of a stop, and closes the store.
//  4. old: ends each session without a word, and gives it away. It never seals again, so no nonce comes twice.
//  5. new: opens the store, takes sockets and sessions, makes observations begin anew, serves, and says so. Uplinks are dialled anew.
//  6. old: ends. When the new one has failed meanwhile there is no way back: it ends with an error, and is started again.

// Time of the steps.
const (
	readyWithin   = 20 * time.Second       // step 2
	finishWithin  = time.Second            // handshakes that are under way
	answersWithin = 500 * time.Millisecond // requests that wait for the core or an uplink
	serveWithin   = 30 * time.Second       // step 5, with a large store
)

// Places of sockets that are no listeners of clients.
const (
	placeMetrics = "metrics "
	placeAdmin   = "admin "
)

var (
	errHandedOver = errors.New("the gateway is ending")
	errVersion    = errors.New("the programs are too different to hand over: restart the gateway instead")
	errSuccessor  = errors.New("the new process failed after it was given the sessions")
)

// succession is a hand-over to a process that is ready for it.
type succession struct {
	*launched
	pipe   *pipe
	token  []byte
	places []string   // whose sockets it wants
	result chan error // of Run, once
	given  int        // sessions
	over   int        // sessions that could not be given
}

// Upgrade hands over to a new process of the program, and ends this one. When it fails before the new process has been given
// anything, the gateway goes on.
func (o orders) Upgrade(ctx context.Context, u admin.Upgrade) error {
	o.log.Info("upgrade ordered by the operator")
	o.reloading.Lock() // nothing changes meanwhile
	defer o.reloading.Unlock()
	select {
	case <-o.left:
		return errHandedOver
	default:
	}
	binary, err := o.program(u.Binary)
	if err != nil {
		return err
	}
	h, err := o.succeed(ctx, binary)
	if err != nil {
		o.log.Error("upgrading failed, the gateway goes on as it is", "program", binary, "error", err.Error())
		return err
	}
	select {
	case o.leave <- h:
		return <-h.result
	case <-o.left:
		h.refuse(errHandedOver)
		return errHandedOver
	}
}

// program is the file that is started: the one this process was started from, be it another one by now, unless the operator
// names one.
func (a *App) program(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	binary, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the program: %w", err)
	}
	return binary, nil
}

// succeed starts a process and waits until it is ready. Nothing has changed until then.
func (a *App) succeed(ctx context.Context, binary string) (*succession, error) {
	l, err := a.launch(ctx, binary, a.cfg.File)
	if err != nil {
		return nil, err
	}
	h := &succession{launched: l, pipe: newPipe(l.conn), token: make([]byte, 16), result: make(chan error, 1)}
	_, _ = rand.Read(h.token) // never fails
	until := time.Now().Add(readyWithin)
	err = h.pipe.send(until, parcel{Hello: &helloParcel{Version: handoverVersion, Token: h.token}})
	if err == nil {
		err = h.awaitReady(until)
	}
	if err == nil {
		err = a.giveSockets(h, until) // duplicates, which nobody reads yet
	}
	if err != nil {
		h.refuse(err)
		return nil, fmt.Errorf("waiting until the new process is ready (see the log): %w", err)
	}
	return h, nil
}

func (h *succession) awaitReady(until time.Time) error {
	said, files, err := h.pipe.receive(until)
	closeFiles(files)
	switch {
	case err != nil:
		return err
	case said.Failed != "":
		return errors.New(said.Failed)
	case said.Ready == nil || !bytes.Equal(said.Ready.Token, h.token):
		return errParcel
	case said.Ready.Version != handoverVersion:
		return errVersion
	}
	h.places = said.Ready.Places
	return nil
}

// refuse ends the new process, for it has nothing.
func (h *succession) refuse(why error) {
	_ = h.pipe.send(time.Now().Add(time.Second), parcel{Failed: why.Error()}) // it is ended anyhow
	h.pipe.close()
	h.kill()
}

// handOver ends the gateway in favour of a new process, which is ready. It is the last that Run does.
func (a *App) handOver(h *succession, started []*running) error {
	began := time.Now()
	err := a.give(h, started)
	if err == nil {
		err = h.awaitRunning(time.Now().Add(serveWithin))
	}
	if err != nil {
		h.kill()
		a.log.Error("handing over failed when the sessions were given away, the process ends", "error", err.Error())
	} else {
		a.log.Info("handed over to a new process", "sessions", h.given, "ended", h.over, "took", time.Since(began).String())
	}
	h.pipe.close()
	h.result <- err
	deadline, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return errors.Join(err, a.halt(deadline, started[0]))
}

func (h *succession) awaitRunning(until time.Time) error {
	said, files, err := h.pipe.receive(until)
	closeFiles(files)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errSuccessor, err)
	case said.Failed != "":
		return fmt.Errorf("%w: %s", errSuccessor, said.Failed)
	case !said.Running:
		return fmt.Errorf("%w: %w", errSuccessor, errParcel)
	}
	return nil
}

// give ends all but metrics and admin, in the order of a stop, and gives the new process what it goes on with.
func (a *App) give(h *succession, started []*running) error {
	deadline, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	until, _ := deadline.Deadline()
	places := places(a.cfg)
	atOnce(len(a.servers), func(i int) {
		if !slices.Contains(h.places, places[i]) {
			return // its clients are told good-bye when it ends
		}
		a.pause(deadline, a.servers[i])
	})
	last := len(started) - 1 // the listeners: sessions are said to on them
	var errs []error
	for i := last - 1; i > 0; i-- {
		errs = append(errs, a.halt(deadline, started[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, s := range a.servers {
		if err := a.giveSessions(h, s, places[i], until); err != nil {
			return err
		}
	}
	if err := a.halt(deadline, started[last]); err != nil {
		return err
	}
	if err := a.store.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return h.pipe.send(until, parcel{Given: &givenParcel{Token: h.token, Sessions: h.given, Secret: a.cookieSecret, Redirects: a.downstream.Redirections()}})
}

// pause lets a listener read no more, and answer what it has read.
func (a *App) pause(ctx context.Context, s *coap.Server) {
	finish, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	s.Suspend(finish)
	answers, stop := context.WithTimeout(ctx, answersWithin)
	defer stop()
	s.Settle(answers)
}

// giveSockets gives those that the new process wants.
func (a *App) giveSockets(h *succession, until time.Time) error {
	for place, files := range a.sockets() {
		if !slices.Contains(h.places, place) {
			continue
		}
		all, err := files()
		if err == nil {
			err = h.pipe.send(until, parcel{Sockets: &socketsParcel{Place: place, Files: len(all)}}, all...)
		}
		closeFiles(all)
		if err != nil {
			return err
		}
	}
	return nil
}

// sockets are what duplicates the sockets of each place.
func (a *App) sockets() map[string]func() ([]*os.File, error) {
	all := map[string]func() ([]*os.File, error){}
	for i, place := range places(a.cfg) {
		if i < len(a.servers) {
			all[place] = a.servers[i].Files
		}
	}
	one := func(f *os.File, err error) ([]*os.File, error) {
		if err != nil {
			return nil, err
		}
		return []*os.File{f}, nil
	}
	if a.web != nil {
		all[placeMetrics+a.cfg.Metrics] = func() ([]*os.File, error) { return one(a.web.File()) }
	}
	if a.admin != nil {
		all[placeAdmin+a.cfg.Admin] = func() ([]*os.File, error) { return one(a.admin.Pass()) }
	}
	return all
}

// giveSessions gives those of one listener. It ends them, whether they can be given or not.
func (a *App) giveSessions(h *succession, s *coap.Server, place string, until time.Time) error {
	if !slices.Contains(h.places, place) {
		return nil
	}
	var failed error
	h.over += s.Export(func(session *coap.Session, e coap.Exported) {
		carried, ok := a.downstream.Carry(session)
		if !ok || failed != nil {
			h.over++
			return
		}
		e.Observed = fitting(e.Observed)
		h.given++
		failed = h.pipe.send(until, parcel{Session: &sessionParcel{Number: h.given, Place: place, Session: e, Server: carried}})
	})
	return failed
}

// fitting are the first of the requests, as many as fit a parcel: a client whose observation is not begun anew asks again when it
// hears nothing.
func fitting(requests [][]byte) [][]byte {
	size := 0
	for i, r := range requests {
		if size += len(r) + 8; size > maxRequests {
			return requests[:i]
		}
	}
	return requests
}

// places names what a configuration has sockets for, listeners first and in their order. Processes whose configurations differ
// share the places that both name.
func places(cfg *config.Config) []string {
	var names []string
	seen := map[string]int{}
	for _, l := range cfg.Listeners {
		name := cmp.Or(l.Transport, config.TransportDTLS) + " " + l.Address
		seen[name]++
		names = append(names, fmt.Sprintf("%s #%d", name, seen[name]))
	}
	if cfg.Metrics != "" {
		names = append(names, placeMetrics+cfg.Metrics)
	}
	if cfg.Admin != "" {
		names = append(names, placeAdmin+cfg.Admin)
	}
	return names
}

// atOnce calls f with 0 to n-1 at once, and waits.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
