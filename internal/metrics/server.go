package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DefaultAddress is where the server listens unless told otherwise.
const DefaultAddress = "127.0.0.1:9464"

const (
	readTimeout      = 5 * time.Second
	writeTimeout     = 10 * time.Second
	idleTimeout      = 60 * time.Second
	shutdownTimeout  = 2 * time.Second
	maxHeaderBytes   = 8 << 10
	scrapesInFlight  = 4 // more at once get 503
	maxReasonBytes   = 256
	contentTypePlain = "text/plain; charset=utf-8"
)

// ErrNotLoopback refuses an address that others could reach: the pages ask nobody who they are.
var ErrNotLoopback = errors.New("not a loopback address")

// ServerConfig is what NewServer needs.
type ServerConfig struct {
	// Metrics are shown on /metrics. Required.
	Metrics *Metrics
	// Address is host:port; port 0 takes a free one. Optional; empty is DefaultAddress.
	Address string
	// File is the listener of another process, as its Server.File gave it, in place of Address; it stays the caller's. Optional.
	File *os.File
	// AllowRemote permits an address that is not loopback, for a scraper on another machine. Optional.
	AllowRemote bool
	// Ready tells why the gateway is not ready, nil when it is. It must not block. Optional; nil is always ready.
	Ready func() error
}

// Server answers /metrics, /healthz (the process lives) and /readyz (it can do its work).
type Server struct {
	listener net.Listener
	http     *http.Server
}

// NewServer binds the address. Nothing is answered before Run; Close or Run releases the address.
func NewServer(cfg ServerConfig) (*Server, error) {
	address := cmp.Or(cfg.Address, DefaultAddress)
	var l net.Listener
	var err error
	if cfg.File != nil {
		l, err = net.FileListener(cfg.File)
	} else {
		l, err = net.Listen("tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !cfg.AllowRemote && (!ok || !a.IP.IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("listening for metrics on %s: %w", address, ErrNotLoopback), l.Close())
	}
	return &Server{listener: l, http: &http.Server{
		Handler:           Handler(cfg.Metrics, cfg.Ready),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}}, nil
}

// Addr returns the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// File duplicates the listener for ServerConfig.File in another process. It is the caller's.
func (s *Server) File() (*os.File, error) {
	l, ok := s.listener.(*net.TCPListener)
	if !ok {
		return nil, errors.New("duplicating the metrics listener: it is not of TCP")
	}
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("duplicating the metrics listener: %w", err)
	}
	return f, nil
}

// Close releases the address of a server that is never run.
func (s *Server) Close() error { return s.listener.Close() }

// Run answers until ctx ends, lets running answers finish for at most two seconds, and returns nil then.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving metrics: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(grace)
	if err != nil {
		err = s.http.Close() // whoever still reads is cut off
	}
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Handler returns the pages of a Server, for those who have a server of their own. ready may be nil.
func Handler(m *Metrics, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesInFlight}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready != nil {
			if err := ready(); err != nil {
				answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
				return
			}
		}
		answer(w, http.StatusOK, "ready")
	})
	return mux
}

func answer(w http.ResponseWriter, code int, text string) {
	if len(text) > maxReasonBytes {
		text = text[:maxReasonBytes]
	}
	w.Header().Set("Content-Type", contentTypePlain)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) // the reader has gone: nothing to tell
}
