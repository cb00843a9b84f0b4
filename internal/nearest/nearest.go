// Package nearest finds the known name that a mistyped one most likely meant.
package nearest

import (
	"cmp"
	"slices"
)

// Limit is the distance from which on a name is not near any more.
func Limit(name string) int { return len(name)/3 + 2 }

// Names lists the known names that are near, the nearest first, at most most of them.
func Names(name string, known []string, most int) []string {
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return Distance(name, k) >= Limit(name) })
	slices.SortFunc(near, func(a, b string) int {
		return cmp.Or(cmp.Compare(Distance(name, a), Distance(name, b)), cmp.Compare(a, b))
	})
	near = slices.Compact(near)
	return near[:min(most, len(near))]
}

// Distance counts the insertions, deletions and changes of a byte that make a into b.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
