//go:build !linux

package inbox

import "sealpost/internal/beneath"

func hasDefaultList(*beneath.Dir) bool { return false }

func copyDefaultList(_, _ *beneath.Dir) error { return nil }
