//go:build linux

package e2e

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

const emojiPart = `[\p{So}\x{1f3fb}-\x{1f3ff}](?:[\x{fe0e}\x{fe0f}]?(?:\x{200d}[\p{So}\x{1f3fb}` +
	`-\x{1f3ff}])?)*`

// The rule for portable names is written a second time, so that the auditor does not believe the
// code's own.
var (
	unsafePart = regexp.MustCompile(`[\x00-\x1f\x7f-\x{9f}\x{ad}\x{34f}\x{61c}\x{115f}\x{1160}` +
		`\x{180b}-\x{180f}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{2800}\x{3164}` +
		`\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}\x{fff0}-\x{fffb}\x{e0000}-\x{e0fff}<>:"/\\|?*]|` +
		`%[0-9A-Fa-f]{2}`)
	// emoji are symbols, with the characters that make them emoji or one of several.
	emoji       = regexp.MustCompile("^" + emojiPart + "$")
	partsOfName = regexp.MustCompile(emojiPart + "|" + unsafePart.String())
	actingName  = regexp.MustCompile(`(?i)^(desktop\.ini|thumbs\.db|autorun\.inf|autorun|` +
		`autorun\.sh|autoopen|\..*|-.*)$`)
	actingEnd = regexp.MustCompile(`(?i)\.(lnk|url|scf|pif|website|shb|shs|mapimail|desklink|` +
		`mydocs|zfsendtotarget|appref-ms|library-ms|searchconnector-ms|search-ms|theme|desktop|` +
		`kdelnk|webloc|inetloc|fileloc|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\})$`)
	device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)`)
	badEnd = regexp.MustCompile(`[. ]$`)
)

func portable(name string) string {
	end := len(name)
	if ending := actingEnd.FindStringIndex(name); ending != nil {
		end = ending[0]
	}
	out := escapeParts(name[:end])
	if end < len(name) {
		out += "%2E" + escapeParts(name[end+1:])
	}
	out = badEnd.ReplaceAllStringFunc(out, percent)
	if (device.MatchString(name) || actingName.MatchString(name)) && out[0] == name[0] {
		out = percent(name[:1]) + out[1:]
	}
	if len(out) > 255 {
		stem, ext := cutExt(out)
		tag := fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))[:17]
		out = cutAt(stem, 255-len(tag)-len(ext)) + tag + ext
	}
	return out
}

func escapeParts(name string) string {
	return partsOfName.ReplaceAllStringFunc(name, func(part string) string {
		rest, isEscape := strings.CutPrefix(part, "%")
		switch {
		case !unsafePart.MatchString(part), emoji.MatchString(part):
			return part
		case isEscape:
			return "%25" + rest
		}
		return percent(part)
	})
}

// partOfName is an escape in a portable name, or a character that stayed as it was.
var (
	partOfName = regexp.MustCompile(`%[0-9A-F]{2}|(?s:.)`)
	telling    = regexp.MustCompile(`^[A-Z\x{80}-\x{10ffff}]`)
)

// twin returns the name of a file beside an earlier one that differs in case or accents only.
func twin(name string) string {
	told := false
	return partOfName.ReplaceAllStringFunc(portable(name), func(part string) string {
		if len(part) == 3 && part[0] == '%' || told && !telling.MatchString(part) {
			return part
		}
		told = true
		return percent(part)
	})
}

// alternative returns the name of a file whose own name is taken at the recipient.
func alternative(name, message string) string {
	stem, ext := cutExt(portable(name))
	return stem + " (" + message + ")" + ext
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// cutExt parts a name before its extension; a leading dot begins none, and a very long one is none.
func cutExt(name string) (stem, ext string) {
	ext = filepath.Ext(name)
	if ext == name || len(ext) > 20 {
		return name, ""
	}
	return strings.TrimSuffix(name, ext), ext
}

var partOfEscape = regexp.MustCompile(`%[0-9A-Fa-f]?$`)

// cutAt keeps at most n bytes and no part of a character or an escape.
func cutAt(s string, n int) string {
	whole := s[n:]
	s = strings.ToValidUTF8(s[:n], "")
	if part := partOfEscape.FindString(s); part != "" &&
		unsafePart.MatchString((part + whole)[:3]) {
		s = strings.TrimSuffix(s, part)
	}
	return s
}
