package durable

// fallback: Windows has one way only.
var fallback = RenameNoReplace
