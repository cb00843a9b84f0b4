package console

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sealpost/hub"
	"sealpost/internal/reason"
	"sealpost/internal/visible"
)

const (
	formSize = 64 << 10
	textSize = 4 << 10 // of one field
)

// visit is one request within a session.
type visit struct {
	*Console
	session *session
	w       http.ResponseWriter
	r       *http.Request
}

// enter begins a session by a link. It answers with a page that leads on: the browser then asks for
// the next one by itself, so that it sends the strict cookie. A prefetch does not use the link up.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Purpose") != "" {
		http.Error(w, "open this link in a browser", http.StatusMethodNotAllowed)
		return
	}
	s, cookie := c.sessions.begin(r.URL.Query().Get("key"))
	if s == nil {
		c.log.Warn("console link refused", "from", r.RemoteAddr)
		refuse(w)
		return
	}
	c.log.Info("console session begun", "user", s.user.Name, "role", s.user.Role)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: cookie, Path: "/" + s.path + "/",
		HttpOnly: true, SameSite: http.SameSiteStrictMode})
	next := "/" + s.path + "/flow"
	w.Header().Set("Refresh", "0; url="+next)
	show(w, http.StatusOK, "enter", next)
}

// refuse answers a request without a session. A page that does not exist has the same answer.
func refuse(w http.ResponseWriter) {
	show(w, http.StatusForbidden, "refused", reason.New("console-no-session").String())
}

// within returns a handler that runs for requests with a session only.
func (c *Console) within(handle func(*visit) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := c.sessions.of(r)
		if s == nil {
			refuse(w)
			return
		}
		if !strings.HasSuffix(r.URL.Path, "/live") { // the script asks for it
			c.sessions.used(s)
		}
		v := &visit{Console: c, session: s, w: w, r: r}
		if err := handle(v); err != nil {
			v.fail(err)
		}
	}
}

// fail answers a failed request: an act by a notice on the page that it came from.
func (v *visit) fail(err error) {
	if v.r.Context().Err() != nil {
		return
	}
	text := reason.Of(err).String()
	if v.r.Method == http.MethodPost {
		v.session.tell(notice{Text: sentence(text), Bad: true})
		v.back()
		return
	}
	v.status(http.StatusUnprocessableEntity, "failed", "Not shown", sentence(text))
}

// sentence returns a text with a capital letter and a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// back leads to the page from which an act was asked.
func (v *visit) back() {
	next := "flow"
	if to, err := url.Parse(v.r.PostFormValue("back")); err == nil && pageOf(to.Path) != nil &&
		to.Host == "" && to.Scheme == "" {
		next = to.Path
		if to.RawQuery != "" {
			next += "?" + to.Query().Encode()
		}
	}
	http.Redirect(v.w, v.r, "/"+v.session.path+"/"+next, http.StatusSeeOther)
}

// frame is the data of a page within the layout.
type frame struct {
	Title  string
	Page   string // its place in the navigation
	Back   string // the address of this page, for its forms
	User   hub.User
	Notice notice
	Data   any
	may    func(path string) bool
}

// May reports whether the user may make a call.
func (f frame) May(path string) bool { return f.may(path) }

// page shows a page of the session.
func (v *visit) page(name, title string, data any) error {
	return v.status(http.StatusOK, name, title, data)
}

func (v *visit) status(code int, name, title string, data any) error {
	back := strings.TrimPrefix(v.r.URL.Path, "/"+v.session.path+"/")
	if v.r.URL.RawQuery != "" {
		back += "?" + v.r.URL.RawQuery
	}
	return show(v.w, code, name, frame{Page: placeOf(name), Title: title, Back: back,
		User: v.session.user, Notice: v.session.told(), Data: data,
		may: func(path string) bool { return hub.May(v.session.user.Role, path) }})
}

// placeOf returns the place of a page in the navigation.
func placeOf(page string) string {
	switch page {
	case "site":
		return "sites"
	case "message":
		return "messages"
	}
	return page
}

// show writes a whole page, or none. Package visible escapes it as its last step.
func show(w http.ResponseWriter, code int, name string, data any) error {
	text, err := render(name, "page", data)
	if err != nil {
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return nil
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(text) // an error means that the browser left
	return nil
}

// render returns a part of a page.
func render(name, part string, data any) ([]byte, error) {
	t := templates[name]
	if t == nil {
		return nil, errors.New("no page " + name)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, part, data); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return []byte(visible.Lines(out.String())), nil
}

// ask makes a call of the administration.
func ask[Out any](v *visit, path string, in any) (out Out, err error) {
	answer, err := v.hub.Call(v.r.Context(), v.session.user, path, in)
	if err != nil {
		return out, err
	}
	out, ok := answer.(Out)
	if !ok {
		return out, fmt.Errorf("%s answers with a %T", path, answer)
	}
	return out, nil
}

// field returns a field of a form or of an address.
func (v *visit) field(name string) string {
	text := strings.TrimSpace(v.r.FormValue(name))
	return text[:min(len(text), textSize)]
}

// act makes a call for a form, and leads back with the text of its outcome.
func act[Out any](v *visit, path string, in any, said func(Out) string) error {
	out, err := ask[Out](v, path, in)
	if err != nil {
		return err
	}
	v.session.tell(notice{Text: said(out)})
	v.back()
	return nil
}

// confirmed returns an error unless the user has typed a word.
func (v *visit) confirmed(word string) error {
	if v.field("confirm") != word {
		return reason.Err("console-not-confirmed", "word", word)
	}
	return nil
}

// misread returns the error of a field.
func misread(field string, why error) error {
	return reason.Err("console-not-understood", "field", field, "why", why)
}
