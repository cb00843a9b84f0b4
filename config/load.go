// Package config reads and writes the two configuration files, agent.toml and hub.toml. The comments on the fields of Agent
// and Hub are their manual: the example files in this package are generated from them.
//
// Decoding is strict. An unknown key is an error that names the nearest known one, a bad value is an error that says what
// is wanted, and each error carries file and line. The package opens nothing else: it knows no keys, stores or networks.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 256 << 10

// Error is what is wrong with a configuration file, and where.
type Error struct {
	File string
	Line int    // 0: the file as a whole
	Key  string // such as outbox.settle; empty: no particular one
	Text string // what is wrong and what is wanted
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		fmt.Fprintf(&b, ": %s", e.Key)
	}
	fmt.Fprintf(&b, ": %s", e.Text)
	return b.String()
}

// file is a configuration file that has been read, and can tell where its keys stand.
type file struct {
	path string // absolute
	text string
}

// load decodes the file at path into v, which holds the defaults.
func load(path string, v any) (*file, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	text, err := os.ReadFile(abs)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := &file{path: abs, text: string(text)}
	return f, f.decode(v)
}

func (f *file) decode(v any) error {
	if len(f.text) > maxFile {
		return &Error{File: f.path, Text: fmt.Sprintf("larger than %s: this is no configuration of sealpost", Size(maxFile))}
	}
	known, err := knownKeys(v)
	if err != nil {
		return err
	}
	// Unknown keys are looked for first, in what is written: decoding into v would take an odd-case key for a known one.
	var all map[string]any
	meta, err := toml.Decode(f.text, &all)
	if err != nil {
		return f.explain(err)
	}
	if err := f.unknown(meta.Keys(), known); err != nil {
		return err
	}
	if _, err := toml.Decode(f.text, v); err != nil {
		return f.explain(err)
	}
	return nil
}

func (f *file) unknown(keys []toml.Key, known []string) error {
	for _, key := range keys {
		name := key.String()
		if contains(known, name) {
			continue
		}
		text := "unknown key"
		if near := nearest(name, known); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		return &Error{File: f.path, Line: locate(f.text, name, 0), Key: name, Text: text}
	}
	return nil
}

// explain turns the parser's error into ours, with a hint where the mistake is a common one.
func (f *file) explain(err error) error {
	var p toml.ParseError
	if !errors.As(err, &p) {
		return &Error{File: f.path, Text: err.Error()}
	}
	e := &Error{File: f.path, Line: p.Position.Line, Key: p.LastKey, Text: p.Message}
	if got, wanted, found := strings.Cut(p.Message, "; destination has type "); found {
		got = strings.TrimPrefix(got, "incompatible types: TOML value has type ")
		e.Text = fmt.Sprintf("want %s, not %s", typeWords[wanted], typeWords[got])
	}
	if strings.HasPrefix(p.Message, "type mismatch for ") {
		e.Text = "want a table"
	}
	if strings.HasPrefix(p.Message, `invalid escape in string`) || strings.Contains(p.Message, "hexadecimal digits after") {
		e.Text += `; write a Windows path in single quotes: 'C:\lab'`
	}
	return e
}

// typeWords says the parser's names of types in words.
var typeWords = map[string]string{
	"string": "text in quotes", "integer": "a whole number", "float": "a number", "boolean": "true or false", "bool": "true or false",
	"slice": "a list in brackets", "array": "a list in brackets", "table": "a table", "map": "a table", "datetime": "a date",
	"primitive (string-like)": "text in quotes",
}

// abs resolves a path of the file against the file's folder.
func (f *file) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// check gives the error of a value its place.
func (f *file) check(key string, err error) error { return f.checkAt(0, key, err) }

// checkAt is check for a key in the n-th of several tables of the same name, from 0.
func (f *file) checkAt(n int, key string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{File: f.path, Line: locate(f.text, key, n), Key: key, Text: err.Error()}
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
