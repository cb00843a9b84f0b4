// Package loopfs mounts real file systems for tests, each in a file of its own.
//
// Mount skips its test, with the reason, where the system, its programs or the rights of the
// account do not allow a kind. No product code may import it: internal/arch holds that.
package loopfs

// Kind is a kind of file system.
type Kind string

// The kinds that can be mounted.
const (
	ExFAT Kind = "exfat" // of the kernel, or exfat-fuse
	VFAT  Kind = "vfat"
	NTFS  Kind = "ntfs" // ntfs-3g: rights and names as on Linux
	Btrfs Kind = "btrfs"
	XFS   Kind = "xfs"

	// ExFATFuse is exFAT in user space. It has no hard links and no rename without replacing.
	ExFATFuse Kind = "exfat-fuse"
	// NTFSFold is NTFS that ignores the case of names.
	NTFSFold Kind = "ntfs that ignores case"
	// FewInodes is a tmpfs for at most Inodes files and folders, with room for their content.
	FewInodes Kind = "tmpfs with few inodes"
	// BtrfsQuota is a btrfs subvolume with room for Quota bytes, on a disk that has more.
	BtrfsQuota Kind = "btrfs with a quota"
	// Ext4Quota is an ext4 folder with a project quota of Quota bytes and Inodes files. The disk
	// has more. The quota does not bind processes with CAP_SYS_RESOURCE, such as root's.
	Ext4Quota Kind = "ext4 with a quota"
)

const (
	// Inodes limits the files and folders of FewInodes and Ext4Quota, with the folder itself.
	Inodes = 64
	// Quota limits the bytes of BtrfsQuota and Ext4Quota.
	Quota = 4 << 20
)
