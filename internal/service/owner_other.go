//go:build !linux

package service

// WorkAsOwner changes nothing here.
func WorkAsOwner(string) (string, error) { return "", nil }

// MakeAsOwner changes nothing here.
func MakeAsOwner(string) (string, error) { return "", nil }
