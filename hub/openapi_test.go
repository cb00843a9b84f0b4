package hub

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/spool"
)

// document writes docs/api.yaml from the endpoints, the types and their comments.
type document struct {
	strings.Builder
	t        *testing.T
	comments map[string]string // by commentKey
	schemas  map[string]reflect.Type
	requests map[string]bool // schemas that stand in requests, and so are exact
}

func (d *document) line(indent int, format string, args ...any) {
	d.WriteString(strings.Repeat("  ", indent) + fmt.Sprintf(format, args...) + "\n")
}

func (d *document) text(indent int, key, text string) {
	if text != "" {
		d.line(indent, "%s: %s", key, quote(text))
	}
}

// quote writes text as a YAML single-quoted scalar on one line.
func quote(text string) string {
	return "'" + strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "'", "''") + "'"
}

func newDocument(t *testing.T) *document {
	d := &document{t: t, comments: map[string]string{}, schemas: map[string]reflect.Type{},
		requests: map[string]bool{}}
	for _, dir := range []string{"api", ".", "../spool", "../internal/id"} {
		d.readComments(dir)
	}
	return d
}

func (d *document) readComments(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				d.readTypes(file.Name.Name, g)
			}
		}
	}
}

// commentKey finds the comment of a type, or of one of its fields.
func commentKey(t reflect.Type, field string) string {
	return path.Base(t.PkgPath()) + "." + t.Name() + "." + field
}

func (d *document) readTypes(room string, g *ast.GenDecl) {
	for _, spec := range g.Specs {
		s := spec.(*ast.TypeSpec)
		d.comments[room+"."+s.Name.Name+"."] = g.Doc.Text()
		fields, ok := s.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				d.comments[room+"."+s.Name.Name+"."+name.Name] = cmp.Or(f.Comment.Text(),
					f.Doc.Text())
			}
		}
	}
}

func (d *document) write() string {
	d.line(0, "# Generated from the hub's endpoints and types: go test ./hub -run OpenAPI -update")
	d.line(0, "openapi: 3.1.0")
	d.line(0, "info:")
	d.line(1, "title: sealpost hub")
	d.line(1, "version: '1'")
	d.text(1, "description", `The hub's API for agents and, below /v1/admin, for admins on other
		computers, over HTTP/1.1 and mutual TLS 1.3.
		JSON in requests must be in its exact form: compact, fields in the order shown, none
		unknown, none twice. "Framed" bodies are a 4-byte big-endian length, that much JSON, then
		bytes up to the end. Every request may be repeated.`)
	d.line(0, "security:")
	d.line(1, "- site: []")
	d.line(0, "paths:")
	byPath := map[string][]endpoint{}
	for _, e := range endpoints() {
		byPath[e.path] = append(byPath[e.path], e)
	}
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		d.line(1, "%s:", path)
		for _, e := range byPath[path] {
			d.operation(e, operations[e.name()])
		}
	}
	d.components()
	return d.String()
}

func (d *document) operation(e endpoint, o operation) {
	d.line(2, "%s:", strings.ToLower(e.method))
	d.text(3, "summary", o.summary)
	switch e.who {
	case anonymous:
		d.line(3, "security: []")
	case sender:
		d.text(3, "description", "For sites that may send.")
	case receiver:
		d.text(3, "description", "For sites that may receive.")
	case joined:
		d.line(3, "security: [{site: []}, {admin: []}]")
	case viewer:
		d.text(3, "description", "For admins, operators and viewers.")
		d.line(3, "security: [{admin: []}]")
	case operator:
		d.text(3, "description", "For admins and operators.")
		d.line(3, "security: [{admin: []}]")
	case admin:
		d.text(3, "description", "For admins.")
		d.line(3, "security: [{admin: []}]")
	}
	d.parameters(e)
	d.requestBody(e, o)
	d.line(3, "responses:")
	status, media := o.success()
	d.line(4, "'%d':", status)
	switch {
	case o.out != nil && o.outBytes != "":
		d.text(5, "description", "Framed: "+d.name(o.out)+", then "+o.outBytes+".")
	case o.outBytes != "":
		d.text(5, "description", o.outBytes)
	case o.out != nil:
		d.text(5, "description", "Done.")
	default:
		d.text(5, "description", "Done; nothing to say.")
	}
	if media != "" {
		d.line(5, "content:")
		d.line(6, "%s:", media)
		d.media(7, media, o.out)
	}
	d.problems(o.problems(e))
}

func (d *document) parameters(e endpoint) {
	if !strings.Contains(e.path, "{") {
		return
	}
	d.line(3, "parameters:")
	d.line(4, "- {name: envelope, in: path, required: true, schema: {type: string, pattern: "+
		"'^[0-9a-f]{32}$'}}")
	if strings.Contains(e.path, "{part}") {
		d.line(4, "- {name: part, in: path, required: true, schema: {type: integer, minimum: 0}}")
		d.line(4, "- {name: %s, in: query, required: true, schema: {type: integer, minimum: 0, "+
			"maximum: 4294967295}}", api.QueryCRC32C)
	}
}

func (d *document) requestBody(e endpoint, o operation) {
	if o.in == nil && o.raw == "" {
		return
	}
	d.line(3, "requestBody:")
	d.line(4, "required: true")
	media, text := "application/json", fmt.Sprintf("At most %d bytes.", e.limit)
	if o.framed {
		media, text = "application/octet-stream",
			fmt.Sprintf("Framed: %s, then the ciphertext, unless it was uploaded before. %s",
				d.name(o.in), text)
	}
	if o.raw != "" {
		media, text = "application/octet-stream", o.raw
	}
	d.text(4, "description", text)
	d.line(4, "content:")
	d.line(5, "%s:", media)
	if o.in != nil {
		d.collect(reflect.TypeOf(o.in), inRequest)
	}
	d.media(6, media, o.in)
}

// media describes a body. The JSON of a framed one has no place in OpenAPI but an extension.
func (d *document) media(indent int, media string, body any) {
	if media == "application/json" {
		d.line(indent, "schema: {$ref: '#/components/schemas/%s'}", d.name(body))
		return
	}
	d.line(indent, "schema: {type: string, format: binary}")
	if body != nil {
		d.line(indent, "x-sealpost-frame: {$ref: '#/components/schemas/%s'}", d.name(body))
	}
}

func (d *document) problems(codes []api.Code) {
	byStatus := map[int][]string{}
	for _, c := range codes {
		_, status := api.CodeOf(&api.Error{Code: c})
		byStatus[status] = append(byStatus[status], string(c))
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		d.line(4, "'%d':", status)
		d.text(5, "description", "A problem with the code "+strings.Join(byStatus[status], " or ")+
			".")
		d.line(5, "content: {%s: {schema: {$ref: '#/components/schemas/Problem'}}}",
			api.ProblemType)
	}
}

func (d *document) name(v any) string {
	d.collect(reflect.TypeOf(v), inAnswer)
	return reflect.TypeOf(v).Name()
}

// side is the direction in which a type travels.
type side int

const (
	inAnswer side = iota
	inRequest
)

// collect adds the schemas that a type needs.
func (d *document) collect(t reflect.Type, s side) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || ownForms[t] != "" {
		return
	}
	if old, found := d.schemas[t.Name()]; found && old != t {
		d.t.Fatalf("two types of the wire are called %s", t.Name())
	}
	d.schemas[t.Name()] = t
	d.requests[t.Name()] = d.requests[t.Name()] || s == inRequest
	for i := range t.NumField() {
		d.collect(t.Field(i).Type, s)
	}
}

func (d *document) components() {
	d.collect(reflect.TypeFor[api.Problem](), inAnswer)
	d.line(0, "components:")
	d.line(1, "securitySchemes:")
	d.line(2, "site: {type: mutualTLS, description: 'A certificate of the network for the name "+
		"urn:sealpost:site:NAME, admitted by the hub.'}")
	d.line(2, "admin: {type: mutualTLS, description: 'A certificate of the network for the name "+
		"urn:sealpost:admin:NAME, of an admin, operator or viewer that the hub knows.'}")
	d.line(1, "schemas:")
	for _, name := range slices.Sorted(maps.Keys(d.schemas)) {
		d.line(2, "%s:", name)
		d.line(3, "type: object")
		d.text(3, "description", d.comments[commentKey(d.schemas[name], "")])
		d.properties(d.schemas[name])
		if d.requests[name] {
			d.line(3, "additionalProperties: false")
		}
	}
}

func (d *document) properties(t reflect.Type) {
	var required []string
	d.line(3, "properties:")
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous || name == "-" || len(f.Index) > 2 {
			continue
		}
		owner := t
		if len(f.Index) == 2 {
			owner = t.Field(f.Index[0]).Type
		}
		d.line(4, "%s:", name)
		d.schema(5, f.Type)
		if f.Type.Kind() != reflect.Struct || ownForms[f.Type] != "" {
			d.text(5, "description", d.comments[commentKey(owner, f.Name)])
		}
		if options == "" {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		d.line(3, "required: [%s]", strings.Join(required, ", "))
	}
}

var hex32, hex64 = pattern("[0-9a-f]{32}"), pattern("[0-9a-f]{64}")

// pattern returns the schema of a text that matches a regular expression as a whole.
func pattern(expression string) string {
	return "{type: string, pattern: '^" + expression + "$'}"
}

// ownForms are the types with a form of their own. An omitted hash is no hash, so an empty one is
// never written.
var ownForms = map[reflect.Type]string{
	reflect.TypeFor[id.Envelope]():    hex32,
	reflect.TypeFor[id.UID]():         hex32,
	reflect.TypeFor[id.Session]():     hex32,
	reflect.TypeFor[id.Incarnation](): hex32,
	reflect.TypeFor[id.Hash]():        hex64,
	reflect.TypeFor[id.Site]():        pattern("[A-Z0-9]([A-Z0-9-]{0,30}[A-Z0-9])?"),
	reflect.TypeFor[id.Message](): pattern(
		"[A-Z0-9-]{1,32}_[A-Z0-9]{1,8}_[0-9]{8}_[0-9]{3,18}"),
	reflect.TypeFor[time.Time]():     `{type: string, format: date-time}`,
	reflect.TypeFor[reason.Reason](): `{type: object, required: [code]}`,
	reflect.TypeFor[api.Code]():      allCodes(),
	reflect.TypeFor[spool.KnownState](): fmt.Sprintf(`{type: string, enum: [%s, %s, %s, %s]}`,
		spool.StateUnknown, spool.StateWaiting, spool.StateFinal, spool.StateForgotten),
	reflect.TypeFor[spool.EventKind](): fmt.Sprintf(
		`{type: string, enum: [%s, %s, %s, %s]}`,
		spool.EventSettled, spool.EventDead, spool.EventRequeued, spool.EventRoute),
}

// allCodes returns the closed set of codes: those of endpoints, and those of single settlements.
func allCodes() string {
	set := map[string]bool{string(api.CodeIncomplete): true}
	for _, e := range endpoints() {
		for _, c := range operations[e.name()].problems(e) {
			set[string(c)] = true
		}
	}
	return "{type: string, enum: [" + strings.Join(slices.Sorted(maps.Keys(set)), ", ") + "]}"
}

// schema writes the schema of a type, on one line for a plain one.
func (d *document) schema(indent int, t reflect.Type) {
	inline := func(form string) {
		for part := range strings.SplitSeq(strings.Trim(form, "{}"), ", ") {
			d.line(indent, "%s", part)
		}
	}
	if form, found := ownForms[t]; found {
		inner := strings.TrimSuffix(strings.TrimPrefix(form, "{"), "}")
		kind, rest, _ := strings.Cut(inner, ", ")
		d.line(indent, "%s", kind)
		d.line(indent, "%s", rest)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		d.schema(indent, t.Elem())
	case reflect.Slice:
		d.line(indent, "type: array")
		d.line(indent, "items:")
		d.schema(indent+1, t.Elem())
	case reflect.Struct:
		d.line(indent, "$ref: '#/components/schemas/%s'", t.Name())
	case reflect.String:
		inline("{type: string}")
	case reflect.Bool:
		inline("{type: boolean}")
	case reflect.Uint32, reflect.Uint64:
		inline("{type: integer, minimum: 0}")
	default:
		inline("{type: integer}")
	}
}
