//go:build !race

package badgerspool

const raceEnabled = false
