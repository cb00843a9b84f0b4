package reason

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sealpost/internal/visible"
)

// A template is text with arguments in braces:
//
//	{name}            the argument
//	{name:q}          in quotation marks
//	{name:e}          the text of an error, in which backslashes stay
//	{name:and}        a list, joined by a word of the language: and, or
//	{name:;}          a list, joined by semicolons
//	{name:n}          a list, one indented line for each element
//	{name:file|files} a number and the noun that fits it: 1 file, 2 files
//	{name:has|have}   a list, joined by and, and the verb that fits it
//	{name?text}       text, if the argument is not empty; text may hold braces itself
//
// A list is joined by commas otherwise. Sizes, times and durations are written in words. Arguments
// come from outside, and package visible escapes each of them.

// units are the words of a language within amounts and lists.
type units struct {
	minutes, hours, days string
	and, or              string
	decimal              string
}

var unitsOf = map[Language]units{
	English: {"min", "hours", "days", "and", "or", "."},
	German:  {"min", "Stunden", "Tage", "und", "oder", ","},
}

// In returns the text in a language, for a user. A code without a template, such as one of a newer
// program, gives the code and the arguments.
func (r Reason) In(l Language) string { return filler{l, escaped}.reason(r) }

// escaping is whether arguments are escaped.
type escaping int

const (
	escaped escaping = iota // for users
	raw                     // for errors, whose text becomes an argument of another reason
)

// filler fills templates of a language.
type filler struct {
	Language
	escaping
}

// escape escapes an argument by a function of package visible.
func (f filler) escape(text string, by func(string) string) string {
	if f.escaping == raw {
		return text
	}
	return by(text)
}

func (f filler) reason(r Reason) string {
	if r.IsZero() {
		return ""
	}
	unknown := strings.TrimSpace(string(r.Code) + " " + r.Args)
	template, known := Templates(f.Language)[r.Code]
	if !known {
		return f.escape(unknown, visible.Line)
	}
	args := map[string]any{}
	if r.Args != "" {
		decoder := json.NewDecoder(strings.NewReader(r.Args))
		decoder.UseNumber()
		if err := decoder.Decode(&args); err != nil {
			return f.escape(unknown, visible.Line)
		}
	}
	var b strings.Builder
	f.fill(&b, template, args)
	return b.String()
}

// fill writes a template with its arguments.
func (f filler) fill(b *strings.Builder, template string, args map[string]any) {
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return
		}
		inner, after := closing(rest)
		template = after
		if name, text, ok := strings.Cut(inner, "?"); ok && isName(name) {
			if f.show(args[name]) != "" {
				f.fill(b, text, args)
			}
			continue
		}
		name, form, _ := strings.Cut(inner, ":")
		b.WriteString(f.shape(args[name], form))
	}
}

// closing divides a template at the brace that closes it.
func closing(template string) (inner, after string) {
	depth := 1
	for i, c := range template {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return template[:i], template[i+1:]
			}
		}
	}
	return template, ""
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// shape returns an argument in the form that a template wants.
func (f filler) shape(value any, form string) string {
	one, many, counts := strings.Cut(form, "|")
	switch {
	case counts && isList(value):
		if list := f.shape(value, "and"); len(value.([]any)) == 1 {
			return list + " " + one
		} else {
			return list + " " + many
		}
	case counts:
		if number := f.show(value); number == "1" {
			return "1 " + one
		} else {
			return number + " " + many
		}
	case form == "q":
		if text, ok := value.(string); ok && f.escaping == escaped {
			return visible.Quote(text)
		}
		return `"` + f.show(value) + `"`
	case form == "e":
		if text, ok := value.(string); ok {
			return f.escape(text, visible.Line)
		}
	case form == ";":
		return f.join(value, "; ", "; ")
	case form == "n":
		return f.join(value, "\n  ", "\n  ")
	case form == "and":
		return f.join(value, ", ", " "+unitsOf[f.Language].and+" ")
	case form == "or":
		return f.join(value, ", ", " "+unitsOf[f.Language].or+" ")
	}
	return f.show(value)
}

func isList(value any) bool {
	_, ok := value.([]any)
	return ok
}

// join returns a list with separators; the last one may differ.
func (f filler) join(value any, separator, last string) string {
	list, ok := value.([]any)
	if !ok {
		return f.show(value)
	}
	var b strings.Builder
	for i, v := range list {
		switch {
		case i == 0:
		case i == len(list)-1:
			b.WriteString(last)
		default:
			b.WriteString(separator)
		}
		b.WriteString(f.show(v))
	}
	return b.String()
}

// show returns an argument as text.
func (f filler) show(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return f.escape(v, visible.Text)
	case json.Number:
		return v.String()
	case []any:
		return f.join(v, ", ", ", ")
	case map[string]any:
		return f.showObject(v)
	}
	return fmt.Sprint(value)
}

// showObject returns an argument with a unit, or a reason.
func (f filler) showObject(object map[string]any) string {
	if code, ok := object["code"].(string); ok {
		r := Reason{Code: Code(code)}
		if args, ok := object["args"]; ok {
			r.Args = string(encode(args))
		}
		return f.reason(r)
	}
	if n, ok := object["bytes"].(json.Number); ok {
		bytes, _ := n.Int64()
		return SizeText(bytes, f.Language)
	}
	if n, ok := object["seconds"].(json.Number); ok {
		seconds, _ := n.Float64()
		return DurationText(time.Duration(seconds*float64(time.Second)), f.Language)
	}
	if text, ok := object["time"].(string); ok {
		t, _ := time.Parse(time.RFC3339Nano, text)
		return TimeText(t)
	}
	return f.escape(string(encode(object)), visible.Line)
}

// SizeText returns a number of bytes in a unit that fits it.
func SizeText(bytes int64, l Language) string {
	const step = 1024
	if bytes < step {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes)/step, 0
	for value >= step && unit < 3 {
		value /= step
		unit++
	}
	number := strings.Replace(fmt.Sprintf("%.1f", value), ".", unitsOf[l].decimal, 1)
	return number + " " + []string{"KiB", "MiB", "GiB", "TiB"}[unit]
}

// TimeText returns a time on this computer's clock; empty: none.
func TimeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// DurationText returns about how long something takes.
func DurationText(d time.Duration, l Language) string {
	u := unitsOf[l]
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(1, int(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d %s", int(d.Round(time.Minute).Minutes()), u.minutes)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d %s", int(d.Round(time.Hour).Hours()), u.hours)
	}
	return fmt.Sprintf("%d %s", int(d.Hours()/24), u.days)
}
