package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"sealpost/internal/id"
	"sealpost/internal/reason"
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

// cell returns a value as it stands in a table: times are local, and an empty value is a hyphen.
func cell(v any, l reason.Language) string {
	text := fmt.Sprint(v)
	switch v := v.(type) {
	case time.Time:
		text = localTime(v)
	case reason.Reason:
		text = v.In(l)
	case reason.Size:
		text = reason.SizeText(int64(v), l)
	case []string:
		text = strings.Join(v, " ")
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

// fingerprint writes a fingerprint in groups, which are easy to compare by voice.
func fingerprint[T ~string](hash T) string { return id.Grouped(hash) }
