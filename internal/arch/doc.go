// Package arch holds the tests that keep the rooms apart: which package may import which, and why. It has no code.
package arch
