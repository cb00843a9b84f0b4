// Package wine tests the agent for Windows under Wine. sealpost.exe talks to a hub and a centre on
// Linux, over loopback. It has no code. docs/windows.md has its limits.
package wine
