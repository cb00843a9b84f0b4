//go:build !windows

package service

func checkPath(path string) error { return checkLine(path) }
