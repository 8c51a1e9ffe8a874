package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/upstream"
	"github.com/dotsgate/dotsgate/upstream/bgp"
	"github.com/dotsgate/dotsgate/upstream/hook"
)

// newLocal makes the driver of a local mitigator. Nothing is asked before it is opened.
func (a *App) newLocal(m config.Mitigator) (*line, error) {
	var driver upstream.Mitigator
	var err error
	var files []string
	switch {
	case m.Webhook != nil:
		w := m.Webhook
		files = []string{w.CA, w.Cert, w.Key, w.SecretFile}
		driver, err = hook.NewWebhook(hook.WebhookConfig{
			Uplink: m.Name, Owner: a.cfg.NodeID, URL: w.URL, StatusURL: w.StatusURL, SecretFile: w.SecretFile,
			CAFile: w.CA, CertFile: w.Cert, KeyFile: w.Key, Timeout: w.Timeout,
		})
	case m.Command != nil:
		c := m.Command
		driver, err = hook.NewCommand(hook.CommandConfig{
			Uplink: m.Name, Owner: a.cfg.NodeID, Path: c.Program, Args: c.Args, Env: c.Env, Timeout: c.Timeout, Logger: a.log,
		})
	case m.BGP != nil:
		files = []string{m.BGP.CA, m.BGP.Cert, m.BGP.Key}
		driver, err = a.newBGP(m.Name, m.BGP)
	default:
		err = errors.New("there is nothing that says how it is asked")
	}
	if err != nil {
		return nil, err
	}
	return &line{link: upstream.LinkConfig{
		Name: m.Name, Mitigator: driver, StatusInterval: m.StatusEvery, Fingerprint: fingerprint(m, files...),
	}}, nil
}

// newBGP makes what announces routes.
func (a *App) newBGP(name string, c *config.BGP) (*bgp.Mitigator, error) {
	secured, err := clientTLS(c.CA, c.Cert, c.Key)
	if err != nil {
		return nil, err
	}
	return bgp.New(bgp.Config{
		Name: name, Node: a.cfg.NodeID, Address: c.Address, API: c.API, TLS: secured, Timeout: c.Timeout, Mode: c.Mode,
		Communities: c.Communities, Marker: c.Marker, NextHop4: c.NextHop4, NextHop6: c.NextHop6,
		MinLength4: c.MinLength4, MinLength6: c.MinLength6, Action: c.Action, Rate: float64(c.Rate), RedirectTo: c.RedirectTo,
		MaxPerLeg: c.MaxPerLeg, MaxRoutes: c.MaxRoutes, Logger: a.log,
	})
}

// clientTLS secures a connection with these authorities and, where there is one, our certificate. Without authorities there is no TLS: nil.
func clientTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" {
		return nil, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("reading the authorities: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading our certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
