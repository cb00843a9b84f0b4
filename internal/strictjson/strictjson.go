// Package strictjson reads JSON that has exactly one spelling: what decodes must encode again to the same bytes.
//
// encoding/json accepts unknown, duplicate and odd-case keys, spare white space and several spellings of one string. In
// anything that is signed, hashed or compared that is a way to make two readers see two things, so it is refused here.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotExact is returned for JSON that decodes but is not spelled the one way in which Marshal would spell it.
var ErrNotExact = errors.New("JSON is not in its exact form")

// Marshal encodes v in the one exact form: compact, struct order, no HTML escaping.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Unmarshal decodes data into v, a pointer, and refuses it with ErrNotExact unless Marshal(v) gives data back.
func Unmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	again, err := Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	if !bytes.Equal(again, data) {
		return ErrNotExact
	}
	return nil
}
