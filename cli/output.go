package cli

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"golang.org/x/term"

	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

// printJSON writes v for machines. An empty list is [], and never null.
func printJSON(w io.Writer, v any) error { return encodeJSON(w, v, jsontext.WithIndent("  ")) }

// printJSONLine is printJSON on one line, for output of several objects.
func printJSONLine(w io.Writer, v any) error { return encodeJSON(w, v) }

func encodeJSON(w io.Writer, v any, form ...json.Options) error {
	text, err := json.Marshal(v, append([]json.Options{jsonv1.DefaultOptionsV1(),
		json.FormatNilSliceAsNull(false), json.FormatNilMapAsNull(false),
		jsontext.EscapeForHTML(false)}, form...)...)
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// table collects rows and prints them in columns.
type table struct {
	language reason.Language
	rows     [][]string
}

func newTable(head ...string) *table {
	return &table{language: reason.English, rows: [][]string{head}}
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = cell(c, t.language)
	}
	t.rows = append(t.rows, row)
}

// print writes the table, or the given words when it has no rows.
func (t *table) print(w io.Writer, empty string) error {
	if len(t.rows) == 1 {
		_, err := fmt.Fprintln(w, empty)
		return err
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	return columns.Flush()
}

// exactOutput returns the output behind w, for bytes that must stay as they are. A terminal gets
// them escaped.
func exactOutput(w io.Writer) io.Writer {
	v, ok := w.(*visible.Writer)
	if !ok {
		return w
	}
	if f, ok := v.Unwrap().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return w
	}
	return v.Unwrap()
}

// shown is a text that is escaped already, such as a quoted name.
type shown string

// quoted returns a name in quotation marks.
func quoted(name string) shown { return shown(visible.Quote(name)) }

// printf writes as fmt.Fprintf does, and escapes the arguments.
func printf(w io.Writer, format string, args ...any) (int, error) {
	return io.WriteString(w, sprintf(format, args...))
}

// sprintf returns the text that printf writes.
func sprintf(format string, args ...any) string {
	escaped := make([]any, len(args))
	for i, a := range args {
		switch v := a.(type) {
		case shown, reason.Reason:
		case fmt.Stringer:
			a = visible.Text(v.String())
		default:
			if reflect.ValueOf(a).Kind() == reflect.String {
				a = visible.Text(fmt.Sprint(a))
			}
		}
		escaped[i] = a
	}
	return fmt.Sprintf(format, escaped...)
}

// cell returns a value as it stands in a table: times are local, and an empty value is a hyphen.
func cell(v any, l reason.Language) string {
	var text string
	switch v := v.(type) {
	case shown:
		text = string(v)
	case time.Time:
		text = localTime(v)
	case reason.Reason:
		text = v.In(l)
	case reason.Size:
		text = reason.SizeText(int64(v), l)
	case []shown:
		for i, s := range v {
			text += strings.Repeat(" ", min(i, 1)) + string(s)
		}
	case []string:
		text = visible.Text(strings.Join(v, " "))
	default:
		text = visible.Text(fmt.Sprint(v))
	}
	if text == "" {
		return "-"
	}
	return text
}

func localTime(t time.Time) string {
	return reason.TimeText(t)
}

func size(bytes int64) string { return reason.SizeText(bytes, reason.English) }

// counted writes a number and the noun that fits it: 1 site, 2 sites.
func counted[N int | int64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// fingerprint writes a fingerprint in groups, which are easy to compare by voice.
func fingerprint[T ~string](hash T) string { return id.Grouped(hash) }
