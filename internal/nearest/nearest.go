// Package nearest finds the known names that are most similar to a mistyped one.
package nearest

import (
	"cmp"
	"slices"
)

// Limit returns the smallest distance of a name that is not near.
func Limit(name string) int { return len(name)/3 + 2 }

// Names returns at most most of the known names that are near, the nearest first.
func Names(name string, known []string, most int) []string {
	near := slices.DeleteFunc(slices.Clone(known), func(k string) bool {
		return Distance(name, k) >= Limit(name)
	})
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
