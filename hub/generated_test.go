package hub

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/id"
	"sealpost/internal/strictjson"
)

// generator draws requests of docs/api.yaml, whose schemas are those of the requests' types. Values
// are drawn from those that the hub knows, and from others of the same form.
type generator struct {
	*rapid.T
	known map[reflect.Type][]any
}

// value fills a value of a request.
func (g generator) value(v reflect.Value, name string) {
	if known := g.known[v.Type()]; len(known) > 0 && rapid.IntRange(0, 3).Draw(g.T, "known") > 0 {
		v.Set(reflect.ValueOf(rapid.SampledFrom(known).Draw(g.T, name)))
		return
	}
	if form := formOf(v.Type()); form != nil {
		v.SetString(rapid.StringMatching(form.String()).Draw(g.T, name))
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<33).Draw(g.T, name), 0).UTC()))
		return
	case time.Duration: // no wait of a call is long
		v.SetInt(rapid.SampledFrom([]int64{-1, 0, 1, 1e6}).Draw(g.T, name))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !strings.Contains(f.Tag.Get("json"), ",omit") || rapid.Bool().Draw(g.T, "has") {
				g.value(v.Field(i), f.Name)
			}
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(g.T, name) {
			v.Set(reflect.New(v.Type().Elem()))
			g.value(v.Elem(), name)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(g.T, name)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			g.value(v.Index(i), name)
		}
	case reflect.String:
		v.SetString(rapid.SampledFrom([]string{"", "fl-lab.dat", "#", "send",
			strings.Repeat("x", 300), "\u202e\x00", "../x"}).Draw(g.T, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(g.T, name))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.SampledFrom([]uint64{0, 0, 0, 1, 2, math.MaxUint32}).Draw(g.T, name))
	default:
		v.SetInt(rapid.SampledFrom([]int64{1, 1, 1, 1, 300, 2 << 20, 0, -1,
			math.MaxInt64}).Draw(g.T, name))
	}
}

// formOf returns the pattern of a type in the document; nil: it has none.
func formOf(t reflect.Type) *regexp.Regexp {
	_, form, found := strings.Cut(ownForms[t], "pattern: '")
	if !found {
		return nil
	}
	return regexp.MustCompile(strings.TrimSuffix(form, "'}"))
}

var (
	jsonText   = regexp.MustCompile(`:"[^"]*"`)
	jsonNumber = regexp.MustCompile(`:-?[0-9]+`)
)

// broken breaks the JSON of a request in one way.
func (g generator) broken(text string) string {
	first := func(form *regexp.Regexp, by string) string {
		at := form.FindAllStringIndex(text, -1)
		if len(at) == 0 {
			return "[]"
		}
		i := rapid.SampledFrom(at).Draw(g.T, "at")
		return text[:i[0]] + by + text[i[1]:]
	}
	at := rapid.IntRange(0, len(text)).Draw(g.T, "cut")
	switch rapid.SampledFrom([]string{"cut", "byte", "text", "number", "unknown", "twice",
		"space", "long", "list", "empty"}).Draw(g.T, "break") {
	case "cut":
		return text[:at]
	case "byte":
		return text[:at] + string(rapid.Byte().Draw(g.T, "byte")) + text[at:]
	case "text":
		return first(jsonText, rapid.SampledFrom([]string{":7", ":null", ":[]", `:"\ud800"`,
			`:"` + strings.Repeat("A", 400) + `"`}).Draw(g.T, "by"))
	case "number":
		return first(jsonNumber, rapid.SampledFrom([]string{`:"7"`, ":null", ":-1", ":1e400",
			":1.5", ":00"}).Draw(g.T, "by"))
	case "unknown":
		return strings.TrimSuffix(text, "}") + `,"unknown":1}`
	case "twice":
		return strings.TrimSuffix(text, "}") + "," + strings.TrimPrefix(text, "{")
	case "space":
		return " " + text
	case "long":
		return text + strings.Repeat(" ", 70<<10)
	case "list":
		return strings.Repeat("[", 20_000)
	}
	return ""
}

// openContent is the ciphertext of envelopes that callers may read.
const openContent = "public content"

// framed puts a length before the JSON of a request, and ciphertext behind it.
func (g generator) framed(text string) string {
	right := len(text)
	n := rapid.SampledFrom([]int{right, right, right, right, right, right, 0, right + 1, 1 << 30,
		math.MaxUint32}).Draw(g.T, "length")
	head := binary.BigEndian.AppendUint32(nil, uint32(n))
	content := rapid.SampledFrom([]string{openContent, openContent, openContent, "",
		strings.Repeat("x", 300)}).Draw(g.T, "content")
	return string(head[:rapid.SampledFrom([]int{4, 4, 4, 4, 4, 2}).Draw(g.T, "head")]) + text +
		content
}

// request draws a request of an endpoint: its path and its body.
func (g generator) request(e endpoint, o operation) (path, body string) {
	path = e.path
	for name, values := range map[string][]string{
		"{envelope}": {"", strings.Repeat("0", 32), strings.Repeat("A", 32), "x", "%00"},
		"{part}":     {"0", "1", "-1", "99999999999999999999", "x"},
	} {
		values[0] = string(rapid.SampledFrom(g.known[reflect.TypeFor[id.Envelope]()]).Draw(g.T,
			"envelope").(id.Envelope))
		path = strings.Replace(path, name, rapid.SampledFrom(values).Draw(g.T, name), 1)
	}
	if o.in == nil {
		return path, rapid.SampledFrom([]string{"", "x", "{}"}).Draw(g.T, "body")
	}
	in := reflect.New(reflect.TypeOf(o.in)).Elem()
	g.value(in, "in")
	exact, err := strictjson.Marshal(in.Interface())
	if err != nil {
		g.Fatal(err)
	}
	body = string(exact)
	if rapid.IntRange(0, 2).Draw(g.T, "is broken") == 0 {
		body = g.broken(body)
	}
	if o.framed {
		body = g.framed(body)
	}
	return path, body
}

// send sends a request on a line that stays open, as far as the hub keeps it.
func send(q *headquarters, line http.RoundTripper, method, path,
	body string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(q.t.Context(), method, "https://"+q.config.Listen+path,
		strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	resp, err := line.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, data, err
}

// conforms checks that an answer is one of the document.
func conforms(t *testing.T, o operation, data []byte) {
	t.Helper()
	if o.out == nil {
		return
	}
	if o.outBytes != "" { // framed
		size := int(binary.BigEndian.Uint32(data))
		data = data[4 : 4+size]
	}
	out := reflect.New(reflect.TypeOf(o.out))
	if err := strictjson.Unmarshal(data, out.Interface()); err != nil {
		t.Errorf("%s: not as documented: %v", data, err)
	}
	hasForms(t, out.Elem())
}

// hasForms checks the patterns of all values in an answer. Those that are left out are empty.
func hasForms(t *testing.T, v reflect.Value) {
	t.Helper()
	if form := formOf(v.Type()); form != nil {
		if text := v.String(); text != "" && !form.MatchString(text) {
			t.Errorf("%q is no %s", text, v.Type())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				hasForms(t, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			hasForms(t, v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			hasForms(t, v.Elem())
		}
	}
}
