package tray

import (
	"strings"
	"unicode/utf8"
)

// NatureOf returns the kind of an entry of this name.
func NatureOf(name string) Nature {
	if k, _ := KindOf(name); k != nil {
		return k.is
	}
	return Ordinary
}

// KindOf returns the row of the table that fits a name, and the text for the * of its form. It
// returns nil for a user's own name.
func KindOf(name string) (k *Known, stem string) {
	if name == "" {
		return nil, ""
	}
	row := len(names)
	lists := [...][]form{byFirst[fold(name[0])], byLast[fold(name[len(name)-1])], byNeither}
	for _, list := range lists {
		for _, f := range list {
			if f.row >= row {
				break
			}
			if s, ok := f.match(name); ok {
				row, stem = f.row, s
				break
			}
		}
	}
	if row == len(names) {
		return nil, ""
	}
	return &names[row], stem
}

// form is a form of names, split at its *.
type form struct {
	row           int // in the table
	star          bool
	before, after string
}

// byFirst, byLast and byNeither index the forms by first byte, by last byte, or by neither. The
// last byte counts if the first may be any. So a name is compared with few forms.
var byFirst, byLast, byNeither = indexed(names)

func indexed(names []Known) (first, last [256][]form, neither []form) {
	for row, k := range names {
		for _, text := range k.forms {
			f := form{row: row}
			f.before, f.after, f.star = strings.Cut(text, "*")
			switch {
			case f.before != "":
				edge := fold(f.before[0])
				first[edge] = append(first[edge], f)
			case f.after != "":
				edge := fold(f.after[len(f.after)-1])
				last[edge] = append(last[edge], f)
			default:
				neither = append(neither, f)
			}
		}
	}
	return first, last, neither
}

// match reports whether a name has this form, and returns the text for the *.
func (f form) match(name string) (stem string, ok bool) {
	if !f.star {
		return "", len(name) == len(f.before) && equal(name, f.before)
	}
	end := len(name) - len(f.after)
	if end <= len(f.before) || !equal(name[:len(f.before)], f.before) ||
		!equal(name[end:], f.after) {
		return "", false
	}
	stem = name[len(f.before):end]
	fits := names[f.row].fits
	return stem, fits == nil || fits(stem)
}

// equal reports whether two texts of one length differ at most in the case of ASCII letters. A form
// with a leading @ needs the same case: @EADIR may be the address of a site.
func equal(name, form string) bool {
	if strings.HasPrefix(form, "@") {
		return name == form
	}
	for i := range len(form) {
		if fold(name[i]) != fold(form[i]) {
			return false
		}
	}
	return true
}

func fold(b byte) byte {
	if isUpper(b) {
		return b - 'A' + 'a'
	}
	return b
}

func isDigit(b byte) bool    { return '0' <= b && b <= '9' }
func isLower(b byte) bool    { return 'a' <= b && b <= 'z' }
func isUpper(b byte) bool    { return 'A' <= b && b <= 'Z' }
func isAlnum(b byte) bool    { return isDigit(b) || isLower(b) || isUpper(b) }
func isHexDigit(b byte) bool { return isDigit(b) || 'a' <= fold(b) && fold(b) <= 'f' }

// all reports whether a text has at least this many bytes, all of one kind.
func all(text string, is func(byte) bool, least int) bool {
	for i := range len(text) {
		if !is(text[i]) {
			return false
		}
	}
	return len(text) >= least
}

func isNumber(stem string) bool { return all(stem, isDigit, 1) }

// isHex accepts the numbers in names of deleted files that are still open.
func isHex(stem string) bool { return all(stem, isHexDigit, 8) }

// isSwap accepts name.swp and Vim's next choices when that exists: name.swo, name.swn and so on.
func isSwap(stem string) bool {
	dot := len(stem) - len(".swp")
	return dot > 0 && strings.EqualFold(stem[dot:dot+3], ".sw") && isLower(fold(stem[dot+3]))
}

// isRsync accepts name.XXXXXX with six random letters and digits. Six that form a word, a number or
// a word with a number are a user's. Random ones form such in three of a hundred names.
func isRsync(stem string) bool {
	dot := len(stem) - len(".XXXXXX")
	if dot < 1 || stem[dot] != '.' || !all(stem[dot+1:], isAlnum, 6) {
		return false
	}
	word := strings.TrimRight(stem[dot+1:], "0123456789")
	rest := word[min(1, len(word)):]
	return !all(rest, isLower, 0) && !all(word, isUpper, 0)
}

// isCloud accepts name.~ and a hexadecimal number.
func isCloud(stem string) bool {
	i := strings.LastIndex(stem, ".~")
	return i > 0 && all(stem[i+2:], isHexDigit, 1)
}

// isSafeSave accepts name.sb-1a2b3c4d-XXXXXX, the folder of a save that is under way.
func isSafeSave(stem string) bool {
	dot := len(stem) - len(".sb-1a2b3c4d-XXXXXX")
	return dot > 0 && stem[dot:dot+4] == ".sb-" && all(stem[dot+4:dot+12], isHexDigit, 8) &&
		stem[dot+12] == '-' && all(stem[dot+13:], isAlnum, 6)
}

// isSyncConflict accepts name.sync-conflict-20251008-120000, with any end.
func isSyncConflict(stem string) bool {
	_, rest, ok := strings.Cut(stem, ".sync-conflict-")
	return ok && len(rest) >= len("20251008-120000") && isNumber(rest[:8]) && rest[8] == '-' &&
		isNumber(rest[9:15])
}

// isConflictedCopy accepts "name (conflicted copy 2025-10-08 120000)" and "name (Ada's conflicted
// copy 2025-10-08)", with any end.
func isConflictedCopy(stem string) bool {
	before, rest, ok := strings.Cut(stem, "conflicted copy ")
	return ok && strings.Contains(before, " (") && len(rest) >= len("2025-10-08)") &&
		isNumber(rest[:4]) && rest[4] == '-' && strings.Contains(rest, ")")
}

// isSeafileConflict accepts "name (SFConflict user 2025-10-08-12-00-00)", with any end.
func isSeafileConflict(stem string) bool {
	_, rest, ok := strings.Cut(stem, " (SFConflict ")
	return ok && strings.Contains(rest, ")")
}

// lockOf describes lock files with the whole name of their file.
func lockOf(stem string) locked { return locked{names: []string{stem}} }

// officeLock describes lock files of programs that omit the first one or two characters of a long
// name.
func officeLock(stem string) locked { return locked{names: []string{stem}, tail: stem} }

// vimLock describes lock files of a program that puts a dot before names without one.
func vimLock(stem string) locked {
	name := stem[:len(stem)-len(".swp")]
	return locked{names: []string{name, "." + name}}
}

func drawingLock(stem string) locked { return locked{names: []string{stem + ".dwg"}} }
func accessLock(stem string) locked  { return locked{names: []string{stem + ".accdb"}} }

// tails returns a name without its first character, and without its first two. It returns nil for a
// name of less than seven characters before its last dot, which Word does not shorten.
func tails(name string) []string {
	stem := name
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		stem = name[:dot]
	}
	if utf8.RuneCountInString(stem) < 7 {
		return nil
	}
	_, one := utf8.DecodeRuneInString(name)
	_, two := utf8.DecodeRuneInString(name[one:])
	return []string{name[one:], name[one+two:]}
}
