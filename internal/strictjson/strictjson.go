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
	"io"

	v2 "github.com/go-json-experiment/json"
	v1 "github.com/go-json-experiment/json/v1"
)

// decoding has the decoder read every type as encoding/json writes it: durations are numbers of nanoseconds.
var decoding = v2.JoinOptions(v1.FormatDurationAsNano(true), v1.FormatByteArrayAsArray(true))

// ErrNotExact is returned for JSON that decodes but is not spelled the one way in which Marshal would spell it.
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

// Unmarshal decodes data into v, a pointer, and refuses it with ErrNotExact unless Marshal(v) gives data back. Unknown and
// duplicate keys and all that is spelled otherwise do not come back.
func Unmarshal(data []byte, v any) error {
	// Whichever decoder reads it, what counts is that encoding/json gives it back; this one takes a third of the time.
	if err := v2.Unmarshal(data, v, decoding); err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	again := comparison{rest: data}
	if err := encode(&again, v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotExact, err)
	}
	if again.differs || len(again.rest) > 0 {
		return ErrNotExact
	}
	return nil
}

// UnmarshalKnown decodes data into v, a pointer, and passes over keys that v does not know. It is for the answers of those who may be
// of a later version.
func UnmarshalKnown(data []byte, v any) error { return v2.Unmarshal(data, v, decoding) }

// comparison compares what is written, but for the line break after it, with what is to come back.
type comparison struct {
	rest    []byte
	differs bool
}

func (c *comparison) Write(p []byte) (int, error) {
	rest, same := bytes.CutPrefix(c.rest, bytes.TrimSuffix(p, []byte("\n")))
	c.rest, c.differs = rest, c.differs || !same
	return len(p), nil
}
