//go:build race

package oddfs

const withRace = true
