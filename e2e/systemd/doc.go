// Package systemd tests the services under a real systemd, and the content of the package.
// It has no code.
package systemd
