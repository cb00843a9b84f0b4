// Package wine tells the story of the agent on Windows, as far as Wine is one: sealpost.exe against
// a hub and a centre on Linux, over loopback. It has no code. docs/windows.md has its limits.
package wine
