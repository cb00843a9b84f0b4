package envelope

import (
	"errors"
	"fmt"

	"sealpost/statement"
)

// Refusal means that the envelope is at fault, for ever. Its ciphertext was read completely and
// correctly, and one of the checks 2 to 7 of FORMAT.md failed. The code is from the closed list in
// package statement and may leave the site; the error is for users of this site only.
type Refusal struct {
	Code string
	Err  error
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused (%s): %v", r.Code, r.Err) }

func (r *Refusal) Unwrap() error { return r.Err }

// flaw is a failed check without proof yet.
type flaw struct {
	code string
	err  error
}

func (f *flaw) Error() string { return f.err.Error() }

func (f *flaw) Unwrap() error { return f.err }

func flawf(code, format string, args ...any) error {
	return &flaw{code: code, err: fmt.Errorf(format, args...)}
}

// archiveFlaw returns the flaw for an error of a tarReader. It has the code for a fault of the
// archive, and another one for a fault of the ciphertext below.
func archiveFlaw(code string, err error) error {
	var below *flaw // of a later segment
	switch {
	case errors.Is(err, errArchive):
		return &flaw{code: code, err: err}
	case errors.As(err, &below):
		return below
	}
	return &flaw{code: statement.CodeCiphertext, err: err}
}
