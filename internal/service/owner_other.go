//go:build !linux

package service

// WorkAsOwner does nothing here.
func WorkAsOwner(string) (string, error) { return "", nil }

// MakeAsOwner does nothing here.
func MakeAsOwner(string) (string, error) { return "", nil }
