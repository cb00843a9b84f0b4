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
		arrays                    string
	}{
		{"agent.example.toml", "agent.go", "Agent", "The configuration of a sealpost agent.", DefaultAgent(), ""},
		{"hub.example.toml", "hub.go", "Hub", "The configuration of a sealpost hub.", hub, "Queue"},
	} {
		t.Run(c.file, func(t *testing.T) {
			docs := fieldDocs(t, c.source)
			shape := "# " + c.title + "\n" + shape(t, docs, c.root, c.arrays)
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
				t.Errorf("%s is not what the comments say; run: go test ./config -run Example -update\n%s", c.file, want)
			}
		})
	}
}

type field struct {
	key, doc, table string // table: the name of the struct type when the field is one
}

// shape lays out a struct as TOML without values: comments, keys, then the tables.
func shape(t *testing.T, docs map[string][]field, root, array string) string {
	var keys, tables, arrays strings.Builder
	for _, f := range docs[root] {
		switch {
		case f.table == array && array != "":
			arrays.WriteString("\n" + comment(f.doc) + "#\n# [[" + f.key + "]]\n")
			for _, g := range docs[array] {
				arrays.WriteString(comment(g.doc) + "# " + g.key + " = " + map[bool]string{true: "[]", false: `""`}[g.key == "bindings"] + "\n")
			}
		case f.table != "":
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
	return "# " + strings.ReplaceAll(strings.TrimSpace(doc), "\n", "\n# ") + "\n"
}

// fieldDocs reads the struct types of a source file. A field without comment or toml name fails the test.
func fieldDocs(t *testing.T, source string) map[string][]field {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string][]field{}
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
				t.Errorf("%s: %s.%s has no comment or no toml name: it is the manual", source, spec.Name, name)
				continue
			}
			tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("toml")
			docs[spec.Name.Name] = append(docs[spec.Name.Name], field{tag, f.Doc.Text(), tableType(f.Type)})
		}
		return true
	})
	return docs
}

func tableType(e ast.Expr) string {
	if a, ok := e.(*ast.ArrayType); ok {
		e = a.Elt
	}
	if i, ok := e.(*ast.Ident); ok && i.Obj != nil {
		return i.Name
	}
	return ""
}
