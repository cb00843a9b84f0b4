package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"sealpost/internal/durable"
)

// The example files are generated from the comments of the structs' fields, with all defaults. A
// test compares them.
var (
	//go:embed agent.example.toml
	agentExample string
	//go:embed hub.example.toml
	hubExample string
)

// write fills the values of v into the example and stores it durably.
func write(path, example string, v any) error {
	text, err := render(example, v)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return durable.WriteFile(path, []byte(text), 0o644)
}

// render returns the example with the values of v. Each "key = value" line of the example is one
// field; comments stay, and the array of tables, which the example shows as a comment, is appended.
func render(example string, v any) (string, error) {
	var encoded bytes.Buffer
	enc := toml.NewEncoder(&encoded)
	enc.Indent = ""
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	values, arrays := split(encoded.String())
	var b strings.Builder
	table := ""
	for line := range strings.Lines(example) {
		if name, found := strings.CutPrefix(line, "["); found {
			table = strings.TrimSuffix(strings.TrimSpace(name), "]")
		}
		if name, _, ok := cutKey(line); ok {
			value, found := values[join(table, name)]
			if !found {
				value = "[]" // the encoder omits an empty list
			}
			line = fmt.Sprintf("%s = %s\n", name, value)
		}
		b.WriteString(line)
	}
	b.WriteString(arrays)
	return b.String(), nil
}

// split splits the encoder's output into the values by key and the text of its arrays of tables.
// The output has one field per line.
func split(encoded string) (values map[string]string, arrays string) {
	values = map[string]string{}
	table := ""
	var rest strings.Builder
	for line := range strings.Lines(encoded) {
		if name, found := strings.CutPrefix(line, "[["); found {
			table = strings.TrimSpace(name)
			rest.WriteByte('\n')
		} else if name, found := strings.CutPrefix(line, "["); found {
			table = strings.TrimSuffix(strings.TrimSpace(name), "]")
			continue
		}
		if strings.HasSuffix(table, "]]") {
			rest.WriteString(strings.TrimLeft(line, "\n"))
			continue
		}
		if name, value, ok := cutKey(line); ok {
			values[join(table, name)] = strings.TrimSpace(value)
		}
	}
	return values, rest.String()
}
