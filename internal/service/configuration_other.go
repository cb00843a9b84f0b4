//go:build !linux

package service

import "os"

// ReadConfiguration reads the configuration of an installation. It need not be root's: install sets
// up no folders here.
func ReadConfiguration(i *Installation) ([]byte, error) {
	i.ByRoot = true
	return os.ReadFile(i.Config)
}
