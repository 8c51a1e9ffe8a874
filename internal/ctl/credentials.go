package ctl

import (
	"bufio"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
)

// maxFile bounds the files that are read here, in bytes.
const maxFile = 1 << 20

// loadCredentials reads what proves us, and finds our cuid. Every error is a wrong use: it is in the files that were named.
func loadCredentials(cfg Config) (*coap.Credentials, string, error) {
	if cfg.Cert == "" && cfg.PSKIdentity == "" {
		return nil, "", fmt.Errorf("%w: a certificate (--cert, --key, --ca) or a pre-shared key (--psk-identity, --psk-file) is needed", ErrUsage)
	}
	from := coap.CredentialsConfig{CertFile: cfg.Cert, KeyFile: cfg.Key, CAFile: cfg.CA, PSKIdentity: cfg.PSKIdentity}
	if cfg.PSKIdentity != "" {
		keys, err := ReadPSKs(cfg.PSKFile)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrUsage, err)
		}
		from.PSKs = func(identity string) ([]byte, bool) {
			key, ok := keys[identity]
			return key, ok
		}
	}
	credentials, err := coap.LoadCredentials(from)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if cfg.CUID != "" {
		return credentials, cfg.CUID, nil
	}
	cuid, err := ownCUID(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return credentials, cuid, nil
}

// ownCUID is the cuid that our credential gives. RFC 9132, Section 4.4.1.1: of the public key or of the PSK's identity.
func ownCUID(cfg Config) (string, error) {
	if cfg.PSKIdentity != "" {
		return dots.Credential{PSKIdentity: cfg.PSKIdentity}.CUID(), nil
	}
	raw, err := readFile(cfg.Cert)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return "", fmt.Errorf("reading %s: no certificate in it", cfg.Cert)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", cfg.Cert, err)
	}
	return dots.Credential{SPKI: leaf.RawSubjectPublicKeyInfo}.CUID(), nil
}

// ReadPSKs reads a file of pre-shared keys: a line IDENTITY:HEXKEY each; empty lines and those that begin with # are
// passed over.
func ReadPSKs(name string) (map[string][]byte, error) {
	raw, err := readFile(name)
	if err != nil {
		return nil, err
	}
	keys := make(map[string][]byte)
	lines := bufio.NewScanner(strings.NewReader(string(raw)))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ':')
		if at <= 0 {
			return nil, fmt.Errorf("reading %s, line %d: not IDENTITY:HEXKEY", name, n)
		}
		key, err := hex.DecodeString(line[at+1:])
		if err != nil || len(key) == 0 {
			return nil, fmt.Errorf("reading %s, line %d: the key is not in hexadecimal", name, n)
		}
		keys[line[:at]] = key
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return keys, nil
}

// readFile reads a whole file that is not too large.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if len(raw) > maxFile {
		return nil, errors.New("reading " + name + ": too large")
	}
	return raw, nil
}
