// Package e2e tests the whole system on real processes, in stories. A hub, labs and research
// centres are set up by the same commands as by hand, killed, cut off, destroyed and lied to, with
// real files on a real disk.
//
// After each story an auditor, which shares no code with the product, compares every dropped file
// with every inbox, every ledger, every receipt and the hub's records, and looks for the sites'
// secrets in all files of the hub. It promises that a story which passes has lost nothing,
// delivered nothing twice, and told the hub nothing.
//
// In a siege the agents run under an account of their own, and share their folders with a group in
// which one user drops files and another attacks: with links in the place of folders, swapped in
// and out, and with everything else that the folders' rights allow. A verdict lists the effects of
// the attack.
//
// The stories run on Linux, as the hub does. They know the daemons by their commands, control
// sockets and folders only. With SEALPOST_SOAK=1 they take longer.
package e2e
