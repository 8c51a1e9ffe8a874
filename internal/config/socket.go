package config

import "path/filepath"

// AdminSocket reads from a configuration file where its gateway answers the operator; empty: nowhere. It looks at nothing
// else: whoever asks need not be allowed to read the keys, and a file that has become wrong is no reason not to look in.
// Its error is an Errors: the file cannot be read, or is not YAML of the right shape.
func AdminSocket(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", Errors{{File: path, Cause: cause(err), Fix: "name the gateway's configuration with -c, or its socket with --socket"}}
	}
	var f file
	s := parse(path, text, &f, fixEmpty)
	if s.unusable {
		return "", s.sorted()
	}
	b := &builder{source: s, dir: filepath.Dir(path)}
	return b.adminSocket(&f), nil
}

// adminSocket is the path of the operator's socket.
func (b *builder) adminSocket(f *file) string {
	if f.Admin.Socket == nil {
		return DefaultSocket
	}
	return b.path(*f.Admin.Socket)
}
