//go:build race

package badgerspool

const raceEnabled = true
