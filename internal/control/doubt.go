package control

import (
	"sealpost/internal/reason"
)

// The reasons to distrust a pointer.
var (
	pointerNoFile    = reason.New("pointer-no-file")
	pointerTooLarge  = reason.New("pointer-too-large")
	pointerMalformed = reason.New("pointer-malformed")
)

// distrust returns the error for a pointer that a client does not follow.
func distrust(pointer string, why reason.Reason) error {
	return reason.Err("pointer-distrusted", "path", pointer, "why", why)
}

// notRemoved returns the error for an object that a daemon cannot remove from the place of its own.
func notRemoved(path string, why error) error {
	return reason.Err("control-not-removed", "path", path, "why", why)
}
