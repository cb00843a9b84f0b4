//go:build !linux

package doctor

import "context"

// notifications checks nothing: this system has no limits to ask for.
func notifications(context.Context, Options) []Finding { return nil }
