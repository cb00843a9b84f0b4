package reason

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// Language is a language of the templates, as in agent.toml.
type Language string

// The languages.
const (
	English Language = "en"
	German  Language = "de"
)

// Languages lists the languages.
func Languages() []Language { return []Language{English, German} }

// ParseLanguage returns the language of a name. The empty name is English.
func ParseLanguage(name string) (Language, error) {
	if name == "" {
		return English, nil
	}
	if !slices.Contains(Languages(), Language(name)) {
		return "", fmt.Errorf("unknown language %q: want one of %v", name, Languages())
	}
	return Language(name), nil
}

//go:embed en/*.toml de/*.toml
var files embed.FS

// tables hold the templates by language.
var tables = map[Language]func() map[Code]string{
	English: sync.OnceValue(func() map[Code]string { return load(English) }),
	German:  sync.OnceValue(func() map[Code]string { return load(German) }),
}

// Templates returns the templates of a language by their codes.
func Templates(l Language) map[Code]string { return tables[l]() }

// load reads the files of a language. A table in a file makes a prefix: the key next in the table
// [blocked] is the code "blocked.next".
func load(l Language) map[Code]string {
	all := map[Code]string{}
	names, err := fs.Glob(files, string(l)+"/*.toml")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		var tree map[string]any
		if _, err := toml.DecodeFS(files, name, &tree); err != nil {
			panic(err)
		}
		flatten(all, "", tree)
	}
	return all
}

func flatten(all map[Code]string, prefix string, tree map[string]any) {
	for key, value := range tree {
		switch v := value.(type) {
		case string:
			code := Code(prefix + key)
			if _, twice := all[code]; twice {
				panic("reason: two templates for " + code)
			}
			all[code] = strings.TrimSpace(v)
		case map[string]any:
			flatten(all, prefix+key+".", v)
		default:
			panic(fmt.Sprintf("reason: %s%s is no text", prefix, key))
		}
	}
}
