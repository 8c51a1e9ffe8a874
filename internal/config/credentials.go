package config

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// minPSK is the length of the shortest pre-shared key, in bytes: 128 bits.
const minPSK = 16

// fixPSK says how a psk_file is written.
const fixPSK = "write a line IDENTITY:HEXKEY for each key, of at least 16 bytes"

// credentials checks that the files exist and belong together.
func (b *builder) credentials(at string, f fileCredentials) Credentials {
	c := Credentials{
		Cert: b.path(f.Cert), Key: b.path(f.Key), CA: b.path(f.CA), CRL: b.path(f.CRL), PSKFile: b.path(f.PSKFile),
		PSKIdentity: f.PSKIdentity, AllowPlainPSK: f.AllowPlainPSK,
	}
	b.preShared(at, f, &c)
	if f.Cert == "" && f.Key == "" && f.CA == "" && f.PSKFile != "" {
		if f.CRL != "" {
			b.add(at+".crl", "there are no certificates to revoke", "give cert, key and ca, or take it out")
		}
		return c
	}
	before := len(b.errors)
	cert := b.file(at+".cert", c.Cert, "name a PEM file with the certificate and its intermediates")
	key := b.file(at+".key", c.Key, "name the PEM file of the certificate's key")
	ca := b.file(at+".ca", c.CA, "name a PEM file with the authorities of the peers")
	if len(b.errors) == before {
		if _, err := tls.X509KeyPair(cert, key); err != nil {
			b.add(at+".key", strings.TrimPrefix(err.Error(), "tls: "), "give the PEM certificate and the PEM key that belongs to it")
		}
	}
	if ca != nil {
		b.authorities(at+".ca", ca)
	}
	if c.CRL != "" {
		b.revocations(at+".crl", c.CRL)
	}
	return c
}

// preShared checks what belongs to pre-shared keys.
func (b *builder) preShared(at string, f fileCredentials, c *Credentials) {
	if f.PSKFile == "" {
		if f.PSKIdentity != "" {
			b.add(at+".psk_identity", "there is no psk_file", "name the file with its key, or take it out")
		}
		return
	}
	keys, err := ReadPSKs(c.PSKFile)
	if err != nil {
		for _, e := range flatten(err) {
			b.add(at+".psk_file", cause(e)+" ("+c.PSKFile+")", fixPSK)
		}
		return
	}
	c.PSKs = keys
	if f.PSKIdentity != "" && keys[f.PSKIdentity] == nil {
		b.addf(at+".psk_identity", "add a line IDENTITY:HEXKEY to the psk_file", "no key for %q", f.PSKIdentity)
	}
}

// file reads a file that is needed; nil: it is missing or cannot be read, which is noted.
func (b *builder) file(path, name, fix string) []byte {
	if name == "" {
		b.add(path, missing, fix)
		return nil
	}
	text, err := readFile(name)
	if err != nil {
		b.add(path, cause(err)+" ("+name+")", "check the path, which is relative to the configuration file, and its rights")
		return nil
	}
	return text
}

// readFile reads a file of a size that settings and credentials have. What it is told of its size is not believed: a device has none.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// authorities checks the certificates that peers' must lead to.
func (b *builder) authorities(path string, text []byte) {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found = true
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			b.add(path, "a certificate in it cannot be read: "+err.Error(), "give whole PEM certificates")
			return
		}
	}
	if !found {
		b.add(path, "no certificate in it", "give a PEM file with the authorities of the peers")
	}
}

// revocations checks that a revocation list can be read.
func (b *builder) revocations(path, name string) {
	text := b.file(path, name, "")
	if text == nil {
		return
	}
	der := text
	if block, _ := pem.Decode(text); block != nil {
		der = block.Bytes
	}
	if _, err := x509.ParseRevocationList(der); err != nil {
		b.add(path, "no revocation list in it", "give a list made by openssl ca -gencrl, as PEM or DER")
	}
}

// ReadPSKs reads identities and keys: a line IDENTITY:HEXKEY each; empty lines and lines that begin with # are skipped. An
// identity may hold colons. The error names every line that is wrong, and never a key.
func ReadPSKs(name string) (map[string][]byte, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	var errs []error
	keys := map[string][]byte{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ':')
		key, err := hex.DecodeString(line[i+1:])
		switch {
		case i < 1 || err != nil || len(key) < minPSK:
			errs = append(errs, fmt.Errorf("line %d is no identity with a key", n))
		case keys[line[:i]] != nil:
			errs = append(errs, fmt.Errorf("line %d has an identity for the second time", n))
		default:
			keys[line[:i]] = key
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("reading it: %w", err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}
