// Package config reads and writes the two configuration files, agent.toml and hub.toml. The
// comments on the fields of Agent and Hub are their manual: the example files in this package are
// generated from them.
//
// Decoding is strict. The error of an unknown key names the nearest known one, the error of a bad
// value names the wanted form, and each error has file and line. The package opens no other file:
// it knows no keys, stores or networks.
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

// Error is a fault in a configuration file, with its place.
type Error struct {
	File string
	Line int    // 0: the file as a whole
	Key  string // such as outbox.settle; empty: none
	Text string // the fault and the wanted form
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

// file is a parsed configuration file with the lines of its keys.
type file struct {
	path string // absolute
	text string
}

// read returns the text of a configuration file, and its absolute path.
func read(path string) (abs string, text []byte, err error) {
	if abs, err = filepath.Abs(path); err != nil {
		return "", nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	if text, err = os.ReadFile(abs); err != nil {
		return "", nil, fmt.Errorf("configuration: %w", err)
	}
	return abs, text, nil
}

// parse decodes the text of the file at an absolute path into v. v holds the defaults; full is a
// value of its type with every key.
func parse(path string, text []byte, v, full any) (*file, error) {
	f := &file{path: path, text: string(text)}
	return f, f.decode(v, full)
}

func (f *file) decode(v, full any) error {
	if len(f.text) > maxFile {
		return &Error{File: f.path, Text: fmt.Sprintf("larger than %s: this is no configuration "+
			"of sealpost", Size(maxFile))}
	}
	known, err := keysOf(full)
	if err != nil {
		return err
	}
	// Look for unknown keys first, in the raw text: decoding into v would accept a known key in
	// another case.
	var all map[string]any
	meta, err := toml.Decode(f.text, &all)
	if err != nil {
		return f.explain(err)
	}
	if err := errors.Join(f.unknown(meta, known)...); err != nil {
		return err
	}
	if a, some := v.(*Agent); some {
		a.prepare(all)
	}
	if _, err := toml.Decode(f.text, v); err != nil {
		return first([]error{f.badValue(err), f.wrongType(meta, known), f.explain(err)})
	}
	return nil
}

// unknown returns an error for each unknown key. In an unknown table it is the table alone.
func (f *file) unknown(meta toml.MetaData, known keys) (faults []error) {
	tables := map[string]bool{}
	for _, key := range meta.Keys() {
		name := key.String()
		if _, found := known[name]; found {
			continue
		}
		if len(key) > 1 && tables[key[:len(key)-1].String()] {
			tables[name] = true
			continue
		}
		tables[name] = true
		text := "unknown key"
		if near := known.nearest(name); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		faults = append(faults, f.at(0, name, text))
	}
	return faults
}

// badValue returns an error of our own types, which name the wanted form.
func (f *file) badValue(err error) error {
	if p := (toml.ParseError{}); errors.As(err, &p) {
		return f.explain(err)
	}
	return nil
}

// explain turns the parser's error into ours, with a hint for a common mistake.
func (f *file) explain(err error) error {
	var p toml.ParseError
	if !errors.As(err, &p) {
		// wrongType cannot see it
		e := &Error{File: f.path, Text: "want a list of texts in brackets"}
		fmt.Sscanf(err.Error(), "toml: line %d (last key %q)", &e.Line, &e.Key) // best effort
		return e
	}
	e := &Error{File: f.path, Line: p.Position.Line, Key: p.LastKey, Text: p.Message}
	if strings.HasPrefix(p.Message, "invalid escape in string") ||
		strings.Contains(p.Message, "hexadecimal digits after") {
		e.Text += `; write a Windows path in single quotes: 'C:\lab'`
	}
	return e
}

// wrongType returns an error for the first key with a value of the wrong type. The parser's own
// error uses the names of Go's types. All lists are lists of text.
func (f *file) wrongType(meta toml.MetaData, known keys) error {
	for _, key := range meta.Keys() {
		want, got := known[key.String()], meta.Type(key...)
		if got != want {
			return f.at(0, key.String(), fmt.Sprintf("want %s, not %s", typeWords[want],
				typeWords[got]))
		}
	}
	return nil
}

// typeWords describes the parser's types in words.
var typeWords = map[string]string{
	"String": "text in quotes", "Integer": "a whole number", "Float": "a number with a point",
	"Bool":  "true or false",
	"Array": "a list of texts in brackets", "Hash": "a table",
	"ArrayHash": "a table in double brackets", "Datetime": "a date",
}

// abs resolves a path of the file against the file's folder.
func (f *file) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// check adds the place to the error of a value.
func (f *file) check(key string, err error) error { return f.checkAt(0, key, err) }

// checkAt is check for a key in the n-th of several tables of the same name, from 0.
func (f *file) checkAt(n int, key string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if _, isSet := locate(f.text, key, n); !isSet {
		text = "missing; " + text
	}
	return f.at(n, key, text)
}

// at returns the error of a key, n as for checkAt.
func (f *file) at(n int, key, text string) error {
	line, _ := locate(f.text, key, n)
	return &Error{File: f.path, Line: line, Key: key, Text: text}
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
