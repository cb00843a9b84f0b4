//go:build !windows

package inbox

import "os"

// markFromElsewhere does nothing: only Windows has the mark.
func markFromElsewhere(*os.File) error { return nil }
