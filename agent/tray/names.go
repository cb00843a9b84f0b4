package tray

// Nature is the kind of an entry of outbox/, according to its name.
type Nature int

const (
	Ordinary   Nature = iota // a user's own: it is sent
	unfinished               // a program renames or deletes it when it is complete
	locking                  // a program keeps it beside a file that it has open
	backup                   // an editor's copy: never sent alone, but with its folder
	conflict                 // a version of a file that a sync tool keeps: as a backup
	sidecar                  // attributes of a file for one system: as a backup, never reported
	Litter                   // a system's own: never sent, nor with its folder, never reported
)

// Known is a kind of names that a program gives to entries of its own.
type Known struct {
	is      Nature
	program string   // for users
	source  string   // of the forms: source code, a manual or a list of another project
	forms   []string // * stands for one character or more; upper and lower case are the same
	fits    func(stem string) bool
	locks   func(stem string) locked
}

// locked names the files that wait for a lock file beside them.
type locked struct {
	names []string
	tail  string // all of a name but its first one or two characters; empty: none
}

// names is the table of all names that are not sent. The first row that fits a name counts. fits
// limits the text for the * of a form; locks finds the files that wait for a lock file.
//
// Some forms are missing because data has them, too: name.XXXXXX of Qt and KDE, sedXXXXXX,
// tmp.XXXXXX of mktemp, Excel's eight hexadecimal digits, *.temp, *.ldb, *.lck, and SQLite's
// journals.
var names = []Known{
	{Litter, "macOS", "gitignore Global/macOS", []string{
		".DS_Store", ".Spotlight-V100", ".fseventsd", ".DocumentRevisions-V100",
		".TemporaryItems", ".Trashes", ".AppleDouble", ".AppleDB", ".AppleDesktop", ".apdisk",
		".VolumeIcon.icns", "Icon\r", "Network Trash Folder", "Temporary Items",
		".com.apple.timemachine.donotpresent",
	}, nil, nil},
	{Litter, "macOS", "samba vfs_fruit(8)", []string{"*:AFP_AfpInfo", "*:AFP_Resource"}, nil, nil},
	{Litter, "Windows", "gitignore Global/Windows", []string{
		"Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information",
	}, nil, nil},
	{Litter, "Windows", "learn.microsoft.com [MS-FSCC] Zone.Identifier", []string{
		"*:Zone.Identifier", "*:Zone.Identifier:$DATA",
	}, nil, nil},
	{Litter, "Linux", "e2fsprogs/misc/mklost+found.c", []string{"lost+found"}, nil, nil},
	{Litter, "Linux", "specifications.freedesktop.org/trash-spec", []string{".Trash"}, nil, nil},
	{Litter, "Linux", "specifications.freedesktop.org/trash-spec", []string{".Trash-*"},
		isNumber, nil},
	{Litter, "KDE", "gitignore Global/Linux", []string{".directory"}, nil, nil},
	{Litter, "Synology", "kb.synology.com", []string{"@eaDir", "#recycle", "#snapshot"}, nil, nil},
	{Litter, "Synology", "DSM", []string{
		"*@SynoEAStream", "*@SynoResource", "*@SynoStream", "@tmp", "@sharebin",
		".SynologyWorkingDirectory",
	}, nil, nil},
	{Litter, "QNAP", "docs.qnap.com", []string{"@Recycle", "@Recently-Snapshot", ".@__thumb"},
		nil, nil},
	{Litter, "QNAP", "qts/afp.conf", []string{
		".@__desc", ".@__qini", ".@qsys", ".@upload_cache", ".streams", ".Qsync",
	}, nil, nil},
	{Litter, "NetApp", "docs.netapp.com", []string{".snapshot", "~snapshot"}, nil, nil},
	{Litter, "Syncthing", "syncthing/lib/fs/filesystem.go IsInternal", []string{
		".stfolder", ".stignore", ".stversions",
	}, nil, nil},
	{Litter, "Nextcloud, ownCloud", "nextcloud/desktop csync_exclude.cpp", []string{
		".sync_*.db", ".sync_*.db-shm", ".sync_*.db-wal", ".sync_*.db-journal",
	}, isHex, nil},
	{Litter, "Nextcloud, ownCloud", "nextcloud/desktop csync_exclude.cpp", []string{
		".nextcloudsync.log", ".owncloudsync.log",
	}, nil, nil},
	{Litter, "Dropbox", "gitignore Global/Dropbox", []string{
		".dropbox", ".dropbox.attr", ".dropbox.cache",
	}, nil, nil},
	{sidecar, "macOS", "gitignore Global/macOS", []string{"._*"}, nil, nil},

	{locking, "Microsoft Office", "support.microsoft.com/kb/211632", []string{"~$*"},
		nil, officeLock},
	{locking, "LibreOffice", "svl/source/misc/lockfilecommon.cxx", []string{".~lock.*#"},
		nil, lockOf},
	{locking, "Vim", "vim/src/memline.c", []string{".*"}, isSwap, vimLock},
	{locking, "Kate", "ktexteditor/kateswapfile.cpp", []string{".*.kate-swp"}, nil, lockOf},
	{locking, "Emacs", "emacs/src/filelock.c", []string{".#*"}, nil, lockOf},
	{locking, "AutoCAD", "help.autodesk.com", []string{"*.dwl", "*.dwl2"}, nil, drawingLock},
	{locking, "Microsoft Access", "learn.microsoft.com", []string{"*.laccdb"}, nil, accessLock},
	{locking, "aria2", "aria2/doc/manual-src/en/aria2c.rst", []string{"*.aria2"}, nil, lockOf},
	{locking, "lftp", "lftp/src/pgetJob.cc", []string{"*.lftp-pget-status"}, nil, lockOf},

	{unfinished, "rsync", "rsync.1 --delay-updates", []string{".~tmp~", ".rsync-partial"},
		nil, nil},
	{unfinished, "rsync", "rsync/receiver.c get_tmpname", []string{".*"}, isRsync, nil},
	{locking, "WPS Office", "haiwen/seadrive-fuse repo-tree.c", []string{".~*"}, nil, officeLock},
	{unfinished, "lftp, ProFTPD", "lftp.1 xfer:temp-file-name", []string{".in.*"}, nil, nil},
	{unfinished, "Pure-FTPd", "pure-ftpd/src/ftpd.h", []string{
		".pureftpd-upload.*", ".pureftpd-rename.*",
	}, nil, nil},
	{unfinished, "GNOME", "glib/gio/glocalfileoutputstream.c", []string{".goutputstream-*"},
		nil, nil},
	{unfinished, "GNOME", "xdg-desktop-portal document-portal-fuse.c", []string{".xdp-*"},
		nil, nil},
	{unfinished, "Nextcloud, ownCloud", "owncloud/client propagatedownload.cpp", []string{".*"},
		isCloud, nil},
	{unfinished, "Linux", "linux fs/nfs/unlink.c, fs/smb/client/inode.c",
		[]string{".nfs*", ".smb*"}, isHex, nil},
	{unfinished, "Linux", "libfuse/lib/fuse.c", []string{".fuse_hidden*"}, isHex, nil},
	{unfinished, "macOS", "smbfs smbfs_vnops.c", []string{".smbdelete*"}, nil, nil},
	{unfinished, "macOS", "NSFileManager", []string{"(A Document Being*)"}, nil, nil},
	{unfinished, "macOS", "NSFileManager", []string{"*"}, isSafeSave, nil},
	{unfinished, "Syncthing", "syncthing/lib/fs/tempname.go", []string{
		".syncthing.*.tmp", "~syncthing~*.tmp",
	}, nil, nil},
	{unfinished, "Unison", "unison/src/os.ml", []string{"*.unison.tmp"}, nil, nil},
	{unfinished, "Windows", "GetTempFileName", []string{"*.tmp"}, nil, nil},
	{unfinished, "Firefox, KDE", "kio/src/core/copyjob.cpp", []string{"*.part"}, nil, nil},
	{unfinished, "rclone, Aspera", "rclone.org/docs --partial-suffix", []string{"*.partial"},
		nil, nil},
	{unfinished, "Aspera", "ascp <resume_suffix>", []string{"*.aspera-ckpt"}, nil, nil},
	{unfinished, "WinSCP", "winscp.net/eng/docs/resume", []string{"*.filepart"}, nil, nil},
	{unfinished, "Chrome, Edge", "chromium download_target_determiner.cc", []string{"*.crdownload"},
		nil, nil},
	{unfinished, "Safari", "NSURLDownload", []string{"*.download"}, nil, nil},
	{unfinished, "Opera", "help.opera.com", []string{"*.opdownload"}, nil, nil},
	{unfinished, "DownThemAll", "downthemall.org", []string{"*.dtapart"}, nil, nil},
	{unfinished, "uTorrent", "sickrage SYNC_FILES", []string{"*.!ut"}, nil, nil},
	{unfinished, "qBittorrent", "qBittorrent/src/base/bittorrent/common.h", []string{"*.!qb"},
		nil, nil},
	{unfinished, "Resilio Sync", "sickrage SYNC_FILES", []string{"*.!sync", "*.bts"}, nil, nil},
	{unfinished, "BitComet", "wiki.bitcomet.com", []string{"*.bc!"}, nil, nil},
	{unfinished, "Vim", "vim/src/memline.c", []string{"*.swp"}, nil, nil},
	{unfinished, "JetBrains", "intellij SafeFileOutputStream", []string{"*___jb_tmp___"}, nil, nil},

	{conflict, "Syncthing", "syncthing/lib/model/folder_sendrecv.go conflictName", []string{"*"},
		isSyncConflict, nil},
	{conflict, "Nextcloud, Dropbox", "nextcloud/desktop utility.cpp makeConflictFileName",
		[]string{"*"}, isConflictedCopy, nil},
	{conflict, "Seafile", "haiwen/seafile common/vc-common.c", []string{"*"},
		isSeafileConflict, nil},

	{backup, "JetBrains", "intellij SafeFileOutputStream", []string{"*___jb_old___"}, nil, nil},
	{backup, "Emacs", "emacs/lisp/files.el", []string{"#*#"}, nil, nil},
	{backup, "text editors", "emacs/lisp/files.el", []string{"*~"}, nil, nil},
}
