package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// root is the top of the project.
const root = "../.."

// TestShippedConfigurations parses every configuration that is shipped or shown, with the files that it names.
func TestShippedConfigurations(t *testing.T) {
	parsed := 0
	for name, text := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text = strings.ReplaceAll(text, "/etc/dotsgate/", "")
			writeNamed(t, dir, text)
			if _, err := parseIn(dir, text); err != nil {
				t.Error(err)
			}
		})
		parsed++
	}
	if parsed < 3 {
		t.Errorf("only %d configurations found: the tree was not read", parsed)
	}
}

// configurations collects the whole configurations: the example, the YAML files and those in the text of the documents.
func configurations(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"example": Example}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	take := func(name, text string) {
		if strings.Contains(text, "listeners:") && strings.Contains(text, "uplinks:") {
			all[name] = text
		}
	}
	for _, dir := range []string{"deploy", "docs"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			switch filepath.Ext(name) {
			case ".yaml", ".yml":
				take(name, string(text))
			case ".md":
				for _, m := range block.FindAllStringSubmatch(string(text), -1) {
					take(name+" "+strings.SplitN(m[1], "\n", 2)[0], m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// writeNamed makes the files that a configuration names.
func writeNamed(t *testing.T, dir, text string) {
	t.Helper()
	authority := testpki.New(t, "documents")
	leaf := authority.Server()
	content := map[string][]byte{
		"cert": leaf.CertPEM(), "key": leaf.KeyPEM(), "ca": authority.PEM(), "crl": authority.CRL(),
		"secret_file": []byte("000102030405060708090a0b0c0d0e0f\n"), "nat_file": []byte("- {inside: 10.0.0.1, outside: 192.0.2.1}\n"),
		"program": []byte("#!/bin/sh\n"), "psk_file": []byte("gateway:000102030405060708090a0b0c0d0e0f\n"),
	}
	for _, m := range regexp.MustCompile(`\b(cert|key|ca|crl|psk_file|secret_file|nat_file|program): ([^,}\s]+)`).FindAllStringSubmatch(text, -1) {
		name := filepath.Join(dir, m[2])
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		testpki.WriteFile(t, name, content[m[1]])
		if m[1] == "program" {
			if err := os.Chmod(name, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestEverySettingIsDocumented holds that docs/configuration.md has a row for every setting, and no row for anything else.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|([^|]*)\\|([^|]*)\\|([^|]*)\\|([^|]*)\\|$").FindAllStringSubmatch(string(text), -1) {
		if rows[m[1]] {
			t.Errorf("%s is documented twice", m[1])
		}
		rows[m[1]] = true
		for i, what := range []string{"type", "default", "range", "meaning"} {
			if strings.TrimSpace(m[i+2]) == "" {
				t.Errorf("%s has no %s", m[1], what)
			}
		}
	}
	for _, path := range leaves(reflect.TypeFor[file](), "") {
		if !rows[path] {
			t.Errorf("%s is not documented", path)
		}
		delete(rows, path)
	}
	for path := range rows {
		t.Errorf("%s is documented, but there is no such setting", path)
	}
}

// leaves lists the settings as the document names them: uplinks[].name, domains[].aliases.NAME.ports.
func leaves(t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return leaves(t.Elem(), path)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return leaves(t.Elem(), path+"[]")
		}
	case reflect.Map:
		return leaves(t.Elem(), path+".NAME")
	case reflect.Struct:
		// What stands in several places is documented at the first one.
		for _, shared := range []struct {
			t     reflect.Type
			under string
		}{{reflect.TypeFor[fileCredentials](), "credentials"}, {reflect.TypeFor[fileLimits](), "limits"}} {
			if t == shared.t && path != shared.under {
				return []string{path}
			}
		}
		var all []string
		for i := range t.NumField() {
			all = append(all, leaves(t.Field(i).Type, strings.TrimPrefix(path+"."+t.Field(i).Tag.Get("yaml"), "."))...)
		}
		return all
	}
	return []string{path}
}

// TestDefaultsAreDocumented compares the defaults in the code with those in the document.
func TestDefaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for path, def := range map[string]string{
		"mitigation.answer_wait": defaultAnswerWait.String(), "mitigation.terminating": "120s", "mitigation.terminating_max": "300s",
		"mitigation.notify_every": "60s", "session.heartbeat_interval": defaultHeartbeat.String(), "session.missing_hb_allowed": "15", "session.max_per_client": "0", "session.max_age": "1h",
		"store.path": defaultStore, "metrics.address": defaultMetrics, "admin.socket": defaultAdmin, "node.hop_limit": "16", "node.hide_topology": "true",
		"aaa.cache.size": "10000", "aaa.fail": FailClosed, "aaa.radius.tries": "3", "mitigators[].bgp.address": defaultGoBGP,
		"mitigators[].bgp.max_per_leg": "100", "mitigators[].bgp.max_routes": "1000", "mitigators[].status_every": defaultStatusEvery.String(),
		"aaa.radius.timeout": defaultRadiusTimeout.String(), "aaa.http.timeout": defaultHookTimeout.String(), "domains[].recursion.low": "0.7",
		"limits.max_mitigations": "256", "limits.max_cuids": "16", "limits.max_names_in_target": "32",
	} {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(path) + "` \\|[^|]*\\|([^|]*)\\|").FindStringSubmatch(string(text))
		if row == nil || strings.Trim(row[1], " `") != def {
			t.Errorf("the default of %s is documented as %q, and is %s", path, row, def)
		}
	}
}
