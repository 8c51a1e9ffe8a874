package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/internal/lab"
)

// maxLines bounds a deployment's configuration: it is to be read before breakfast.
const maxLines = 30

// TestDeploymentFiles: the configurations that are shipped are short, explained, and right beside the lab's certificates.
func TestDeploymentFiles(t *testing.T) {
	root := filepath.Join("..", "..", "deploy")
	for _, name := range append(lab.Deployments(), "lab") {
		files, err := filepath.Glob(filepath.Join(root, name, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no configuration: %v", name, err)
		}
		dir := t.TempDir()
		if err := lab.WritePKI(lab.PKIConfig{Dir: filepath.Join(dir, "pki")}); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(raw, []byte("\n")); n > maxLines {
				t.Errorf("%s has %d lines, more than %d", f, n, maxLines)
			}
			if !bytes.HasPrefix(raw, []byte("# ")) {
				t.Errorf("%s does not begin with what it is for", f)
			}
			for _, program := range regexp.MustCompile(`program: ([\w-]+)`).FindAllSubmatch(raw, -1) {
				if err := os.WriteFile(filepath.Join(dir, string(program[1])), []byte("#!/bin/sh\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			copied := filepath.Join(dir, filepath.Base(f))
			if err := os.WriteFile(copied, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(copied); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
	}
}

// TestDeployments plays the story of each deployment with real processes: gateways, simulated servers and mitigators.
//
// RFC 8811, Section 3.2.3: gateways at the client's side, at the server's side, and between providers.
func TestDeployments(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for half a minute")
	}
	gateway, err := exec.LookPath("dotsgate")
	if err != nil {
		t.Fatal(err)
	}
	own, err := exec.LookPath("dotslab")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lab.Deployments() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told strings.Builder
			err := lab.Demo(t.Context(), lab.StageConfig{
				Gateway: gateway, Lab: own, Deployment: name, Deploy: filepath.Join("..", "..", "deploy", name),
			}, &told)
			if err != nil {
				t.Errorf("%v\n%s", err, told.String())
			}
			if !strings.HasSuffix(told.String(), "all programs ended when they were told to\n") {
				t.Errorf("the story has no end:\n%s", told.String())
			}
		})
	}
}
