//go:build !linux

package doctor

import "context"

// notifications have no limits that could be asked for on this system.
func notifications(context.Context, Options) []Finding { return nil }
