package reason

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A template is text with arguments in braces:
//
//	{name}            the argument
//	{name:q}          in quotation marks, as Go quotes
//	{name:and}        a list, joined by a word of the language: and, or
//	{name:;}          a list, joined by semicolons
//	{name:n}          a list, one indented line for each element
//	{name:file|files} a number and the noun that fits it: 1 file, 2 files
//	{name?text}       text, if the argument is not empty; text may hold braces itself
//
// A list is joined by commas otherwise. Sizes, times and durations are written in words.

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

// In returns the text in a language. A code without a template, such as one of a newer program,
// gives the code and the arguments.
func (r Reason) In(l Language) string {
	if r.IsZero() {
		return ""
	}
	template, known := Templates(l)[r.Code]
	if !known {
		return strings.TrimSpace(string(r.Code) + " " + r.Args)
	}
	args := map[string]any{}
	if r.Args != "" {
		decoder := json.NewDecoder(strings.NewReader(r.Args))
		decoder.UseNumber()
		if err := decoder.Decode(&args); err != nil {
			return strings.TrimSpace(string(r.Code) + " " + r.Args)
		}
	}
	var b strings.Builder
	fill(&b, template, args, l)
	return b.String()
}

// fill writes a template with its arguments.
func fill(b *strings.Builder, template string, args map[string]any, l Language) {
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return
		}
		inner, after := closing(rest)
		template = after
		if name, text, ok := strings.Cut(inner, "?"); ok && isName(name) {
			if show(args[name], l) != "" {
				fill(b, text, args, l)
			}
			continue
		}
		name, form, _ := strings.Cut(inner, ":")
		b.WriteString(shape(args[name], form, l))
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
func shape(value any, form string, l Language) string {
	one, many, counts := strings.Cut(form, "|")
	switch {
	case counts:
		if number := show(value, l); number == "1" {
			return "1 " + one
		} else {
			return number + " " + many
		}
	case form == "q":
		return strconv.Quote(show(value, l))
	case form == ";":
		return join(value, "; ", "; ", l)
	case form == "n":
		return join(value, "\n  ", "\n  ", l)
	case form == "and":
		return join(value, ", ", " "+unitsOf[l].and+" ", l)
	case form == "or":
		return join(value, ", ", " "+unitsOf[l].or+" ", l)
	}
	return show(value, l)
}

// join returns a list with separators; the last one may differ.
func join(value any, separator, last string, l Language) string {
	list, ok := value.([]any)
	if !ok {
		return show(value, l)
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
		b.WriteString(show(v, l))
	}
	return b.String()
}

// show returns an argument as text.
func show(value any, l Language) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		return join(v, ", ", ", ", l)
	case map[string]any:
		return showObject(v, l)
	}
	return fmt.Sprint(value)
}

// showObject returns an argument with a unit, or a reason.
func showObject(object map[string]any, l Language) string {
	if code, ok := object["code"].(string); ok {
		r := Reason{Code: Code(code)}
		if args, ok := object["args"]; ok {
			r.Args = string(encode(args))
		}
		return r.In(l)
	}
	if n, ok := object["bytes"].(json.Number); ok {
		bytes, _ := n.Int64()
		return SizeText(bytes, l)
	}
	if n, ok := object["seconds"].(json.Number); ok {
		seconds, _ := n.Float64()
		return DurationText(time.Duration(seconds*float64(time.Second)), l)
	}
	if text, ok := object["time"].(string); ok {
		t, _ := time.Parse(time.RFC3339Nano, text)
		return TimeText(t)
	}
	return string(encode(object))
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
