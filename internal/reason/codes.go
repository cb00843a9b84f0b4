package reason

// The codes that programs compare. All others appear where a reason is made, and in the templates.
const (
	// LedgerLost is the reason of a message that was found in sending/ without a row in the ledger.
	LedgerLost Code = "ledger-lost"
	// RecalledAfterLoss is the reason of a recalled message that a lost ledger may have sent.
	RecalledAfterLoss Code = "recalled-after-loss"
	// LostByHub is the reason of a message that waits after the hub has lost its envelope.
	LostByHub Code = "hub-lost-envelope"
	// RecalledAfterHub is the reason of a recalled message that a lost hub had.
	RecalledAfterHub Code = "recalled-after-hub"
	// SharedKey is the trouble of a site with the recipient key of another site.
	SharedKey Code = "shared-key"

	// LeftRepeat is the note on a file that was sent before and stays in outbox.
	LeftRepeat Code = "left-repeat"
	// LeftUnderWay is the note on a file whose content is under way already.
	LeftUnderWay Code = "left-under-way"

	// IgnoredName and the next five are the notes that need no user.
	IgnoredName     Code = "ignored-name"
	HiddenName      Code = "hidden-name"
	StillWritten    Code = "still-written"
	AddedAfterPause Code = "added-after-pause"
	CameSoonAfter   Code = "came-soon-after"
	StillEmpty      Code = "still-empty"

	// RestWaits is the reason of a delivered message that is still being changed.
	RestWaits Code = "rest-waits"

	// InboxAway and the next five are the reasons for which an inbox cannot be used.
	InboxAway           Code = "inbox-away"
	InboxTrouble        Code = "inbox-trouble"
	InboxIsOther        Code = "inbox-is-other"
	InboxIsAnother      Code = "inbox-is-another"
	InboxOfOtherAccount Code = "inbox-of-other-account"
	InboxSilent         Code = "inbox-silent"

	// WaitsForCopy is the note on a file that waits to be copied from another disk.
	WaitsForCopy Code = "waits-for-copy"

	// FolderUnreadable and the next seven are the notes on folders of a tray.
	FolderUnreadable Code = "folder-unreadable"
	FolderTrouble    Code = "folder-trouble"
	FolderSilent     Code = "folder-silent"
	FolderIsLink     Code = "folder-is-link"
	FolderApart      Code = "folder-apart"
	TrayGone         Code = "tray-gone"
	OwnShare         Code = "own-share"
	OutboxAway       Code = "outbox-away"
	DiskGone         Code = "disk-gone"

	// NotDirectory is the reason of a file in the place of a folder.
	NotDirectory Code = "not-a-directory"

	// MayNotRead is the note on a file that this account may not read.
	MayNotRead Code = "may-not-read"
)
