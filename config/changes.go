package config

import (
	"bytes"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
)

// Changes returns the keys whose values differ between two configurations of a hub, such as
// spool.reserve. It leaves out [[queue]], which a hub reads only once.
func Changes(a, b Hub) ([]string, error) {
	before, err := values(a)
	if err != nil {
		return nil, err
	}
	after, err := values(b)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	maps.DeleteFunc(all, func(key, _ string) bool { return before[key] == after[key] })
	return slices.Sorted(maps.Keys(all)), nil
}

// values returns the values of a configuration as they are written, by their keys.
func values(h Hub) (map[string]string, error) {
	h.Queue = nil
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(h); err != nil {
		return nil, err
	}
	list, _ := split(b.String())
	return list, nil
}
