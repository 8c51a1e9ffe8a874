package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Source tells what there is. Its methods are called from several goroutines and may wait until ctx ends.
type Source interface {
	Mitigations(ctx context.Context) ([]Mitigation, error)
	Sessions(ctx context.Context) ([]Session, error)
	Uplinks(ctx context.Context) ([]Uplink, error)
}

// Bounds of the socket's server.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	socketMode   = 0o660
	lastAnswers  = time.Second // at the end
)

// Server answers on the socket.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen takes the socket's path. A socket that is left over from a dead process is removed; one that somebody answers on is not.
func Listen(path string, from Source, do Commands) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the socket's folder: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening on the admin socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("setting the admin socket's rights: %w", err), l.Close())
	}
	return newServer(l, from, do), nil
}

// Take goes on with the listener of another process, as its Pass gave it. The file stays the caller's.
func Take(f *os.File, from Source, do Commands) (*Server, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("taking the admin socket over: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(errors.New("taking the admin socket over: it is none"), l.Close())
	}
	u.SetUnlinkOnClose(true)
	return newServer(u, from, do), nil
}

func newServer(l net.Listener, from Source, do Commands) *Server {
	s := &Server{listener: l}
	s.http = &http.Server{Handler: routes(from, do), ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout}
	return s
}

// Pass duplicates the listener for Take in another process, whose the socket's path is from then on. The file is the caller's.
func (s *Server) Pass() (*os.File, error) {
	u, ok := s.listener.(*net.UnixListener)
	if !ok {
		return nil, errors.New("passing the admin socket on: it is none")
	}
	f, err := u.File()
	if err != nil {
		return nil, fmt.Errorf("passing the admin socket on: %w", err)
	}
	u.SetUnlinkOnClose(false)
	return f, nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the admin socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is no socket: remove it or name another admin.socket", path)
	}
	d := net.Dialer{Timeout: time.Second}
	if c, err := d.DialContext(context.Background(), "unix", path); err == nil {
		_ = c.Close() // it was only tried
		return fmt.Errorf("another process answers on %s: stop it or name another admin.socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing a stale admin socket: %w", err)
	}
	return nil
}

// Run serves until ctx ends, lets answers under way finish for a moment, and removes the socket.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving the admin socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	err := s.http.Shutdown(grace)
	if err != nil {
		err = s.http.Close() // whoever still waits is cut off
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("closing the admin socket: %w", err)
	}
	return nil
}

// routes are the paths of the API.
func routes(from Source, do Commands) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/mitigations", list(from.Mitigations, Filter.mitigation))
	mux.HandleFunc("GET /v1/sessions", list(from.Sessions, Filter.session))
	mux.HandleFunc("GET /v1/uplinks", list(from.Uplinks, Filter.uplink))
	orders(mux, do)
	return mux
}

// list answers with what get returns and the query's filter keeps, as a JSON array.
func list[T any](get func(context.Context) ([]T, error), keep func(Filter, T) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := readFilter(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		items, err := get(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		kept := []T{} // never null
		for _, i := range items {
			if keep(f, i) {
				kept = append(kept, i)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(kept) // an error here is the reader's going away
	}
}
