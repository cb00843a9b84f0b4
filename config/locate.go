package config

import "strings"

// locate returns the line that sets a dotted key in valid TOML, and reports whether it found the
// whole key. Otherwise it returns the line of the longest part that is set, or 0. n counts the
// tables of an array of tables, from 0.
func locate(text, key string, n int) (line int, whole bool) {
	s := scanner{want: key, skip: n}
	for i, line := range strings.Split(text, "\n") {
		s.line(i+1, line)
	}
	return s.found, s.match == len(key)
}

// scanner reads the lines of a document and keeps the best match.
type scanner struct {
	want  string // the wanted key
	skip  int    // array tables of its name still to skip
	table string // the table of the current line
	off   bool   // that table is skipped
	open  string // the delimiter of the open multi-line string
	depth int    // of open brackets of a list
	found int
	match int // length of the matching part of want
}

func (s *scanner) line(number int, line string) {
	inside := s.open != "" || s.depth > 0
	if !inside && s.head(number, strings.TrimSpace(line)) {
		return
	}
	value := line
	if !inside {
		name, after, ok := cutKey(line)
		if !ok {
			return
		}
		if !s.off {
			s.consider(number, join(s.table, name))
		}
		value = after
	}
	s.value(value)
}

// head takes the line if it is a table's header.
func (s *scanner) head(number int, line string) bool {
	if !strings.HasPrefix(line, "[") {
		return false
	}
	array := strings.HasPrefix(line, "[[")
	name, _, _ := strings.Cut(strings.TrimLeft(line, "["), "]")
	s.table = normal(name)
	s.off = false
	if array && strings.HasPrefix(s.want, s.table+".") && s.skip > 0 {
		s.skip--
		s.off = true
		return true
	}
	s.consider(number, s.table)
	return true
}

// consider keeps the line if key is the wanted one, or a longer part of it than before.
func (s *scanner) consider(number int, key string) {
	if (key == s.want || strings.HasPrefix(s.want, key+".")) && len(key) > s.match {
		s.found, s.match = number, len(key)
	}
}

// value follows strings and lists, to know whether the next line begins with a key.
func (s *scanner) value(rest string) {
	for rest != "" {
		if s.open != "" {
			rest = s.inString(rest)
			continue
		}
		switch {
		case rest[0] == '#':
			return
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, "'''"):
			s.open, rest = rest[:3], rest[3:]
			continue
		case rest[0] == '"', rest[0] == '\'':
			s.open, rest = rest[:1], rest[1:]
			continue
		case rest[0] == '[', rest[0] == '{':
			s.depth++
		case rest[0] == ']', rest[0] == '}':
			s.depth--
		}
		rest = rest[1:]
	}
}

// inString returns the rest of the line after the open string.
func (s *scanner) inString(rest string) string {
	for i := 0; i < len(rest); i++ {
		if rest[i] == '\\' && s.open[0] == '"' {
			i++
			continue
		}
		if strings.HasPrefix(rest[i:], s.open) {
			end := i + len(s.open)
			for len(s.open) == 3 && end < len(rest) && rest[end] == s.open[0] {
				end++ // """" ends with a quote of the string
			}
			s.open = ""
			return rest[end:]
		}
	}
	return ""
}

// cutKey splits a line at the = that is not inside a quoted key.
func cutKey(line string) (name, after string, ok bool) {
	var quote byte
	for i := range len(line) {
		switch c := line[i]; {
		case quote == 0 && c == '#':
			return "", "", false
		case quote == 0 && c == '=':
			return normal(line[:i]), line[i+1:], true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return "", "", false
}

// normal spells a dotted key as the parser does, for keys of letters, digits, _ and -.
func normal(key string) string {
	words := strings.Split(key, ".")
	for i, w := range words {
		words[i] = strings.Trim(strings.TrimSpace(w), `"'`)
	}
	return strings.Join(words, ".")
}

func join(table, name string) string {
	if table == "" {
		return name
	}
	return table + "." + name
}
