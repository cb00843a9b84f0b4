package envelope

import (
	"errors"
	"fmt"

	"sealpost/statement"
)

// Refusal says that an envelope is at fault itself, and will be for ever: its ciphertext was read whole and right, and one
// of the checks 2 to 7 of FORMAT.md failed. The code is from the closed list in package statement and may leave the site;
// the error is for people at this site only.
type Refusal struct {
	Code string
	Err  error
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused (%s): %v", r.Code, r.Err) }

func (r *Refusal) Unwrap() error { return r.Err }

// flaw is a failed check that is not proven yet.
type flaw struct {
	code string
	err  error
}

func (f *flaw) Error() string { return f.err.Error() }

func (f *flaw) Unwrap() error { return f.err }

func flawf(code, format string, args ...any) error {
	return &flaw{code: code, err: fmt.Errorf(format, args...)}
}

// archiveFlaw names what a tarReader returned: a fault of the archive, for which code stands, or one of the ciphertext, which
// age found below it.
func archiveFlaw(code string, err error) error {
	if errors.Is(err, errArchive) {
		return &flaw{code: code, err: err}
	}
	return &flaw{code: statement.CodeCiphertext, err: err}
}
