// Package fault names points between two steps of a file's life, so that a test can kill the
// process there.
//
// In a normal build Point does nothing and costs nothing. Built with the tag faultpoints, it kills
// the process at the point named in SEALPOST_FAULT ("name", or "name:3" for the third time it is
// passed), and lists the points it passes in the file named in SEALPOST_TRACE.
package fault
