// Package systemd holds the story of the services under a real systemd, and the look into the package. It has no code.
package systemd
