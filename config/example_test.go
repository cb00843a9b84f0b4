package config

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the example and golden files anew")

// The example files are the structs' comments with the defaults, so that the manual has one source.
func TestExampleFilesAreGeneratedFromTheStructs(t *testing.T) {
	hub := DefaultHub()
	for _, c := range []struct {
		file, source, root, title string
		defaults                  any
	}{
		{"agent.example.toml", "agent.go tray.go", "Agent",
			"The configuration of a sealpost agent.", DefaultAgent()},
		{"hub.example.toml", "hub.go", "Hub", "The configuration of a sealpost hub.", hub},
	} {
		t.Run(c.file, func(t *testing.T) {
			docs := fieldDocs(t, strings.Fields(c.source))
			shape := "# " + c.title + "\n" + shape(docs, c.root)
			want, err := render(shape, c.defaults)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(c.file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("%s is not what the comments say; run: go test ./config -run Example "+
					"-update\n%s", c.file, want)
			}
		})
	}
}

type field struct {
	key, doc, table string // table: the name of the field's type, which may be a struct of ours
	array           bool   // a list of them
}

// shape lays out a struct as TOML without values: comments, keys, then the tables. A list of tables
// is only told of; its keys are listed where no table has shown them.
func shape(docs map[string][]field, root string) string {
	var keys, tables, arrays strings.Builder
	shown := map[string]bool{}
	for _, f := range docs[root] {
		switch {
		case f.array && docs[f.table] != nil:
			arrays.WriteString("\n" + comment(f.doc))
			if shown[f.table] {
				continue
			}
			arrays.WriteString("#\n# [[" + f.key + "]]\n")
			for _, g := range docs[f.table] {
				arrays.WriteString(comment(g.doc) + "# " + g.key + " = " +
					map[bool]string{true: "[]", false: `""`}[g.key == "bindings"] + "\n")
			}
		case docs[f.table] != nil:
			shown[f.table] = true
			tables.WriteString("\n" + comment(f.doc) + "[" + f.key + "]\n")
			for _, g := range docs[f.table] {
				tables.WriteString("\n" + comment(g.doc) + g.key + " = 0\n")
			}
		default:
			keys.WriteString("\n" + comment(f.doc) + f.key + " = 0\n")
		}
	}
	return keys.String() + tables.String() + arrays.String()
}

func comment(doc string) string {
	lines := strings.NewReplacer("\n\n", "\n#\n# ", "\n\t", "\n#   ", "\n",
		"\n# ").Replace(strings.TrimSpace(doc))
	return strings.ReplaceAll("# "+lines+"\n", "# \t", "#   ")
}

// fieldDocs reads the struct types of source files.
func fieldDocs(t *testing.T, sources []string) map[string][]field {
	t.Helper()
	docs := map[string][]field{}
	for _, source := range sources {
		parsed, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		addDocs(t, docs, source, parsed)
	}
	return docs
}

// addDocs adds the structs that have toml names. A field without comment or toml name fails the
// test.
func addDocs(t *testing.T, docs map[string][]field, source string, parsed *ast.File) {
	t.Helper()
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			name := f.Names[0].Name
			if f.Doc.Text() == "" || f.Tag == nil {
				t.Errorf("%s: %s.%s has no comment or no toml name: it is the manual", source,
					spec.Name, name)
				continue
			}
			tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("toml")
			docs[spec.Name.Name] = append(docs[spec.Name.Name],
				field{tag, f.Doc.Text(), typeName(f.Type), isArray(f.Type)})
		}
		return true
	})
}

func isArray(e ast.Expr) bool {
	_, array := e.(*ast.ArrayType)
	return array
}

func typeName(e ast.Expr) string {
	if a, ok := e.(*ast.ArrayType); ok {
		e = a.Elt
	}
	if i, ok := e.(*ast.Ident); ok {
		return i.Name
	}
	return ""
}
