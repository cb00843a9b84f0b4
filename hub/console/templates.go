package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

//go:embed assets
var assets embed.FS

// templates are the pages by name, each with the layout.
var templates = parse()

// parse reads the templates of the program itself: a fault in them is found by every test.
func parse() map[string]*template.Template {
	base := template.Must(template.New("").Funcs(functions).ParseFS(assets,
		"assets/layout.html"))
	files, err := fs.Glob(assets, "assets/*.html")
	if err != nil {
		panic(err) // the pattern is fixed
	}
	all := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" {
			continue
		}
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(assets, file))
	}
	return all
}

var functions = template.FuncMap{
	"text":  func(s any) string { return visible.Text(fmt.Sprint(s)) },
	"size":  func(n int64) string { return reason.SizeText(n, reason.English) },
	"ago":   func(t time.Time) string { return ago(time.Since(t)) },
	"utc":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"local": func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
	"long":  func(d time.Duration) string { return strings.TrimPrefix(ago(-d), "in ") },
	"number": func(n any) string {
		return grouped(fmt.Sprint(n))
	},
	"short": func(s any) string { // of a fingerprint
		text := fmt.Sprint(s)
		return text[:min(len(text), 16)]
	},
	"join":     func(list []string) string { return strings.Join(list, ", ") },
	"pagelist": func() []place { return places },
}

// ago returns a past time span in its largest unit, such as "5 min ago"; a future one is negative.
func ago(d time.Duration) string {
	format := "%s ago"
	if d < 0 {
		d, format = -d, "in %s"
	}
	const day = 24 * time.Hour
	var text string
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		text = fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		text = fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		text = fmt.Sprintf("%d h", d/time.Hour)
	default:
		text = fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf(format, text)
}

// grouped returns a number with a space after each three digits.
func grouped(digits string) string {
	if _, err := strconv.ParseInt(digits, 10, 64); err != nil {
		return digits
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, parts...), "\u202f")
}

// counted returns a number with its noun.
func counted[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(strconv.FormatInt(int64(n), 10)) + " " + many
}

// asset returns the handler of a file of ours. It needs no session: it is public.
func asset(name, kind string) http.HandlerFunc {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Write(text) // an error means that the browser left
	}
}
