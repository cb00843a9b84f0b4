//go:build !linux

package service

import "os"

// ReadConfiguration reads the configuration of an installation. Folders are not set up here, so that it need not be root's.
func ReadConfiguration(i *Installation) ([]byte, error) {
	i.ByRoot = true
	return os.ReadFile(i.Config)
}
