package config

import (
	"errors"
	"slices"
)

// HubFaults returns every bad value of a hub.toml, and not only the first one as LoadHub does. A
// file that cannot be decoded has one fault: that at which decoding ends.
func HubFaults(path string) []error {
	path, text, err := read(path)
	if err != nil {
		return []error{err}
	}
	h := DefaultHub()
	f, err := parse(path, text, &h, fullHub)
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return slices.DeleteFunc(f.checkHub(h), func(err error) bool { return err == nil })
}

// CheckHub returns the error that LoadHub would return for a configuration that is not written yet.
func CheckHub(h Hub) error {
	text, err := render(hubExample, h)
	if err == nil {
		_, err = ParseHub("/hub.toml", []byte(text))
	}
	return unwritten(err)
}

// CheckAgent is CheckHub for an agent.
func CheckAgent(a Agent) error {
	text, err := render(agentExample, a)
	if err == nil {
		_, err = ParseAgent("/agent.toml", []byte(text))
	}
	return unwritten(err)
}

// unwritten removes the place from an error, as there is no file.
func unwritten(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return &Error{File: e.Key, Text: e.Text}
	}
	return err
}
