// Package shares tells the story of trays and inboxes on NFSv4 and SMB. It has no code.
//
// A virtual machine is server and client at once. It is emulated, so any computer can run it.
// The servers give no delegations and no oplocks, as many appliances: then a lease on a file is
// refused though no program writes it.
package shares
