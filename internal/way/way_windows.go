package way

import "errors"

// Above returns errors.ErrUnsupported: the access lists of Windows are not checked.
func Above(string, ...int) ([]Fault, error) { return nil, errors.ErrUnsupported }

// Into returns errors.ErrUnsupported, as Above does.
func Into(string, ...int) ([]Fault, error) { return nil, errors.ErrUnsupported }
