// Package arch holds the tests of imports, paths and English. It has no code. It has no code.
package arch
