package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"sealpost/internal/nearest"
)

// fullAgent and fullHub have every key: the encoder omits a nil list.
var (
	fullTray  = Tray{Ignore: []string{}, Markers: []string{}}
	fullAgent = Agent{Hub: []string{}, Outbox: fullTray, Tray: []Tray{fullTray}}
	fullHub   = Hub{Hosts: []string{}, Queue: []Queue{{Bindings: []string{}}}}
)

// keys holds the keys and tables of a configuration, with the TOML types of their values.
type keys map[string]string

// keysOf returns the keys of a configuration, by encoding one that has them all.
func keysOf(full any) (keys, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(full); err != nil {
		return nil, fmt.Errorf("list the known keys: %w", err)
	}
	var all map[string]any
	meta, err := toml.Decode(b.String(), &all)
	if err != nil {
		return nil, fmt.Errorf("list the known keys: %w", err)
	}
	known := keys{}
	for _, key := range meta.Keys() {
		known[key.String()] = meta.Type(key...)
	}
	return known, nil
}

// nearest returns the known key that name most likely meant, or "" if none is near. A key in the
// wrong table is near: its last word is right.
func (known keys) nearest(name string) string {
	best, least := "", nearest.Limit(name)
	for _, k := range slices.Sorted(maps.Keys(known)) {
		d := nearest.Distance(strings.ToLower(name), k)
		if last(name) == last(k) {
			d = min(d, 1)
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
