// Package strictjson reads JSON in exactly one spelling: a decoded value must encode to the same
// bytes.
//
// encoding/json accepts unknown, duplicate and odd-case keys, spare white space and several
// spellings of one string. With them, two readers could read signed, hashed or compared text in two
// ways.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v2 "github.com/go-json-experiment/json"
	v1 "github.com/go-json-experiment/json/v1"
)

// decoding makes the decoder read every type as encoding/json writes it: durations are numbers of
// nanoseconds.
var decoding = v2.JoinOptions(v1.FormatDurationAsNano(true), v1.FormatByteArrayAsArray(true))

// ErrNotExact is returned for JSON that decodes but differs from the output of Marshal.
var ErrNotExact = errors.New("JSON is not in its exact form")

// Marshal encodes v in the one exact form: compact, struct order, no HTML escaping.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encode writes the exact form of v, and a line break.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Unmarshal decodes data into v, a pointer, and returns ErrNotExact unless Marshal(v) equals data.
// Unknown and duplicate keys and other spellings cannot be equal.
func Unmarshal(data []byte, v any) error {
	// Any decoder will do, since encoding/json must reproduce the data; this one needs a third of
	// the time.
	if err := v2.Unmarshal(data, v, decoding); err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	compared := comparison{rest: data}
	if err := encode(&compared, v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	if compared.differs || len(compared.rest) > 0 {
		return ErrNotExact
	}
	return nil
}

// UnmarshalKnown decodes data into v, a pointer, and ignores unknown keys. It is for answers of
// programs of a later version.
func UnmarshalKnown(data []byte, v any) error { return v2.Unmarshal(data, v, decoding) }

// comparison compares the written bytes, except for the last line break, with the original.
type comparison struct {
	rest    []byte
	differs bool
}

func (c *comparison) Write(p []byte) (int, error) {
	rest, same := bytes.CutPrefix(c.rest, bytes.TrimSuffix(p, []byte("\n")))
	c.rest, c.differs = rest, c.differs || !same
	return len(p), nil
}
