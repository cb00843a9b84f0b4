package coredump

// Off does nothing: Windows keeps no dump of a process unless an administrator asks for it
// (LocalDumps).
func Off() error { return nil }
