//go:build unix

package durable

var fallback = renameByLink
