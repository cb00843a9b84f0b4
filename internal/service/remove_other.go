//go:build !linux

package service

import "fmt"

// remove removes a service from its manager.
func remove(n Instance) error {
	s, err := library(n)
	if err == nil {
		err = s.Uninstall()
	}
	if err != nil {
		return fmt.Errorf("uninstall %s: %w", n.Service(), err)
	}
	return nil
}
