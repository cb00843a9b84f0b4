// Package lyinghub tells stories of a hub that lies to its agents.
//
// The agents and the hub are real and in one process. Between them stands the liar: it has the
// hub's identity and its issuing authority, as the hub's owner or a thief of its disk would, speaks
// to each agent as the hub and to the hub as that agent, and changes anything on the way. In
// every story a lie is told, found, and shown to users, nothing is placed or delivered wrongly, and
// the file arrives once the hub tells the truth again, unless the lie was that it never would.
// docs/SECURITY.md names the lies that no site can detect.
package lyinghub
