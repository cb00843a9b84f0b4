// Package reason holds the reasons that sealpost gives its users, such as why a file waits.
//
// A Reason is a code and its arguments. Programs compare codes; the ledger and JSON store code and
// arguments. Users read the text, which Render makes from a template of the user's language. The
// templates are TOML files, one folder for each language. A test in internal/arch holds every call
// of New and Err to the templates: the code exists in each language, and the arguments fit.
package reason

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Code identifies a kind of reason, such as "hub-full". Codes are part of the JSON output and of
// the ledger: a released code keeps its meaning.
type Code string

// Reason is a code with its arguments. It is comparable: two reasons are equal if they say the
// same. The zero Reason means none, and its text is empty.
type Reason struct {
	Code Code
	// Args is a JSON object of the arguments in the order of their names at New; empty: none.
	Args string
}

// Size is an argument in bytes.
type Size int64

// plain is the code of a text without a code, such as an error of the system.
const plain Code = "text"

// New returns a reason. The arguments are pairs of a name and a value: a string, a number, a
// time.Time, a time.Duration, a Size, a Reason, an error, a fmt.Stringer, or a slice of these.
func New(code Code, args ...any) Reason {
	if len(args) == 0 {
		return Reason{Code: code}
	}
	var b strings.Builder
	for i := 0; i < len(args); i += 2 {
		fmt.Fprintf(&b, ",%q:%s", args[i], encode(args[i+1]))
	}
	return Reason{Code: code, Args: "{" + b.String()[1:] + "}"}
}

// Text returns the reason of a text that has no code.
func Text(text string) Reason {
	if text == "" {
		return Reason{}
	}
	return New(plain, "text", text)
}

// Of returns the reason of an error. An error without one gives its text. Of(nil) is none.
func Of(err error) Reason {
	if err == nil {
		return Reason{}
	}
	if own, ok := err.(*Error); ok {
		return own.Reason
	}
	text := err.Error()
	if several, ok := err.(interface{ Unwrap() []error }); ok { // "%w: %w"
		if two := several.Unwrap(); len(two) == 2 &&
			text == two[0].Error()+": "+two[1].Error() {
			return New("because", "reason", Of(two[0]), "why", Of(two[1]))
		}
	}
	if list, all := joined(err); len(list) > 0 {
		before, after, _ := strings.Cut(text, all)
		if r := New("several", "list", list); before+after == "" {
			return r
		} else {
			return New("wrapped", "before", before, "reason", r, "after", after)
		}
	}
	if inner, ok := errors.AsType[*Error](err); ok {
		before, after, ok := strings.Cut(text, inner.Error())
		switch {
		case before+after == "":
			return inner.Reason
		case ok:
			return New("wrapped", "before", before, "reason", inner.Reason, "after", after)
		}
	}
	return Text(text)
}

// joined returns the errors of an errors.Join that an error wraps, and their text. It is empty if
// there are fewer than two.
func joined(err error) (list []Reason, text string) {
	for ; err != nil; err = errors.Unwrap(err) {
		several, ok := err.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		var texts []string
		for _, e := range several.Unwrap() {
			list, texts = append(list, Of(e)), append(texts, e.Error())
		}
		if text = strings.Join(texts, "\n"); len(list) > 1 && err.Error() == text {
			return list, text
		}
		return nil, ""
	}
	return nil, ""
}

// IsDoubtfulRecall reports whether recipients may have a recalled message.
func (r Reason) IsDoubtfulRecall() bool {
	return r.Code == RecalledAfterLoss || r.Code == RecalledAfterHub
}

// IsZero reports whether there is no reason.
func (r Reason) IsZero() bool { return r.Code == "" }

// String returns the English text, for a user.
func (r Reason) String() string { return r.In(English) }

// Error is a reason as an error. It unwraps to the errors among the arguments.
type Error struct {
	Reason
	causes []error
}

// Err returns a reason as an error, with arguments like those of New.
func Err(code Code, args ...any) error {
	e := &Error{Reason: New(code, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok {
			e.causes = append(e.causes, err)
		}
	}
	return e
}

// AsError returns a reason as an error; nil: there is none.
func (r Reason) AsError() error {
	if r.IsZero() {
		return nil
	}
	return &Error{Reason: r}
}

// Error returns the English text with the arguments as they are. It is for programs and logs: text
// for a user is made by In, of the reason that Of returns.
func (e *Error) Error() string { return filler{English, raw}.reason(e.Reason) }

func (e *Error) Unwrap() []error { return e.causes }

// Is reports whether another error has the same reason.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Reason == e.Reason
}

// wire is a reason in JSON. The text is English. A reader ignores it, and the cause.
type wire struct {
	Code Code `json:"code"`
	// Cause is the innermost code of a reason that another one wraps.
	Cause Code            `json:"cause,omitempty"`
	Args  json.RawMessage `json:"args,omitempty"`
	Text  string          `json:"text,omitempty"`
}

// cause returns the code of the reason in a wrapping one; empty: this one wraps none.
func (r Reason) cause() Code {
	var in struct {
		Says, Reason wire
	}
	if !slices.Contains([]Code{"verdict", "wrapped", "because"}, r.Code) ||
		json.Unmarshal([]byte(r.Args), &in) != nil {
		return ""
	}
	w := in.Says
	if r.Code != "verdict" {
		w = in.Reason
	}
	return cmp.Or(Reason{Code: w.Code, Args: string(w.Args)}.cause(), w.Code)
}

// MarshalJSON writes code, arguments and English text. The zero Reason is null.
func (r Reason) MarshalJSON() ([]byte, error) {
	if r.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(wire{Code: r.Code, Cause: r.cause(), Args: json.RawMessage(r.Args),
		Text: r.String()})
}

// UnmarshalJSON reads code and arguments.
func (r *Reason) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*r = Reason{Code: w.Code, Args: string(w.Args)}
	return nil
}

// Arguments with a unit are objects of one member.
type (
	sizeArg struct {
		Bytes int64 `json:"bytes"`
	}
	timeArg struct {
		Time time.Time `json:"time"`
	}
	durationArg struct {
		Seconds float64 `json:"seconds"`
	}
)

// encode returns an argument in JSON.
func encode(value any) []byte {
	switch v := value.(type) {
	case nil:
		return []byte("null")
	case Reason:
		return nested(v)
	case error:
		return nested(Of(v))
	case Size:
		value = sizeArg{int64(v)}
	case time.Time:
		if value = any(timeArg{v.UTC()}); v.IsZero() {
			value = nil
		}
	case time.Duration:
		value = durationArg{v.Seconds()}
	case fmt.Stringer:
		value = v.String()
	default:
		if list := reflect.ValueOf(value); list.Kind() == reflect.Slice {
			all := make([]json.RawMessage, list.Len())
			for i := range all {
				all[i] = encode(list.Index(i).Interface())
			}
			value = all
		}
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("reason: an argument of type %T: %v", value, err))
	}
	return encoded
}

// nested returns a reason that is an argument, without its text.
func nested(r Reason) []byte {
	if r.IsZero() {
		return []byte("null")
	}
	args := ""
	if r.Args != "" {
		args = `,"args":` + r.Args
	}
	return []byte(`{"code":` + strconv.Quote(string(r.Code)) + args + `}`)
}
