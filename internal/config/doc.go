// Package config reads the gateway's configuration file and says, of every mistake in it, where it is, what is wrong and what to do.
//
// The file's types (file.go) differ from the program's (config.go): the first are words as people write them, the second are
// checked values. Nothing is opened or bound here but the files that the configuration names, to see that they can be read.
package config
