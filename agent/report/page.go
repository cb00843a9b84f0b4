package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"
	"time"

	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

// STATUS.html has the same parts as STATUS.txt, with progress bars and the receipts of delivered
// files. It needs no script and makes no request, so that a double click on a share opens
// it. All text goes through internal/visible first, and then through html/template.

// pageNames are the names of a page, like names.
var pageNames = []string{"STATUS.html", "STATUS (sealpost).html"}

// pageRefresh is the number of seconds after which a browser loads the page again.
const pageRefresh = 5

// section is a part of a status file.
type section struct {
	Head  string
	Lines []line
}

// line is a line of a part.
type line struct {
	Question string // an answer's; empty: it is none
	Text     string
	IsSub    bool // it belongs to the line before
	HasBar   bool
	Done     int64
	Size     int64
}

// pageTitle returns the first line of the page with a title, which tells it from a user's own.
func pageTitle(title string, l reason.Language) string {
	return `<!DOCTYPE html><html lang="` + string(l) + `"><meta charset="utf-8"><title>` +
		template.HTMLEscapeString(title)
}

// page returns the text of a page without its first line and its heading.
func (s Snapshot) page(l *lines, p *place) string {
	s.write(l, p)
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, "parts", clean(l.parts)); err != nil {
		panic(err) // only its data could fail it, and it writes into memory
	}
	return b.String()
}

// clean escapes the texts of parts as STATUS.txt does. A bar without a known size has none.
func clean(parts []section) []section {
	for i := range parts {
		parts[i].Head = visible.Lines(parts[i].Head)
		for j := range parts[i].Lines {
			one := &parts[i].Lines[j]
			one.Question, one.Text = visible.Lines(one.Question), visible.Lines(one.Text)
			one.HasBar = one.Size > 0
		}
	}
	return parts
}

// pageHead returns the beginning of a page, up to its parts.
func pageHead(f *file, s Snapshot, now time.Time) string {
	list := strings.Split(strings.TrimSpace(heading(f, s, now)), "\r\n")
	for i := range list {
		list[i] = visible.Lines(list[i])
	}
	var b bytes.Buffer
	err := pages.ExecuteTemplate(&b, "top", struct {
		Title   string
		Lines   []string
		Refresh int
		Style   template.CSS
		Hash    string
	}{list[0], list[1:], pageRefresh, template.CSS(pageStyle), styleHash})
	if err != nil {
		panic(err) // see page
	}
	return pageTitle(list[0], f.language) + "</title>\n" + b.String()
}

// receipts adds the receipts of a delivered message.
func (l *lines) receipts(m outbox.Message) {
	for _, r := range m.Recipients {
		if r.Verified && len(l.parts) > 0 {
			last := &l.parts[len(l.parts)-1]
			last.Lines = append(last.Lines, line{IsSub: true, Text: l.in(reason.New("page-receipt",
				"site", id.Site(r.Site), "time", r.Time))})
		}
	}
}

// bar adds the progress of a transfer to the last line of a page.
func (l *lines) bar(done, size int64) {
	if last := &l.parts[len(l.parts)-1]; l.moving && len(last.Lines) > 0 {
		one := &last.Lines[len(last.Lines)-1]
		one.Done, one.Size = done, size
	}
}

// record adds a line to the last part of a page.
func (l *lines) record(one line) {
	if len(l.parts) == 0 {
		l.parts = append(l.parts, section{})
	}
	last := &l.parts[len(l.parts)-1]
	last.Lines = append(last.Lines, one)
}

//go:embed page.css
var pageStyle string

//go:embed page.html
var pageTemplates string

var pages = template.Must(template.New("page").Parse(pageTemplates))

// styleHash is the hash by which a page allows its own style, and nothing else.
var styleHash = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}()
