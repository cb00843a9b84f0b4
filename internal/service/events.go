package service

import "strings"

// severity is the level of an entry of an event log.
type severity int

const (
	information severity = iota
	warning
	failure
)

// severityOf returns the level of a line of the text log. Only the first one in the line is the
// log's own.
func severityOf(line string) severity {
	_, rest, _ := strings.Cut(line, "level=")
	level, _, _ := strings.Cut(rest, " ")
	switch {
	case strings.HasPrefix(level, "ERROR"):
		return failure
	case strings.HasPrefix(level, "WARN"):
		return warning
	}
	return information
}
