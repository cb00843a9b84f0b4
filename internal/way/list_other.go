//go:build unix && !linux

package way

import "errors"

// accessList returns errors.ErrUnsupported: only the lists of Linux are read.
func accessList(string) ([]entry, error) { return nil, errors.ErrUnsupported }
