#!/bin/bash
# Make a folder with a small Debian machine for qemu in it (about 1 GB), and nothing else here:
#   sudo e2e/shares/machine.sh /var/tmp/shares
#   sudo SEALPOST_SHARES=/var/tmp/shares make shares
# It needs qemu-system-x86 and e2fsprogs. Remove it with: sudo rm -rf --one-file-system /var/tmp/shares
set -euo pipefail
dir=${1:?usage: machine.sh FOLDER}
root=$dir/root
[ ! -e "$dir/disk.img" ] || { echo "$dir has a machine already"; exit 0; }
mkdir -p "$dir"
run() { "$@"; }
if ! command -v debootstrap >/dev/null; then # unpacked beside, not installed
  tools=$(mktemp -d); trap 'rm -rf "$tools"' EXIT
  (cd "$tools" && apt-get download -qq debootstrap && dpkg -x debootstrap_*.deb .)
  run() { shift; DEBOOTSTRAP_DIR="$tools/usr/share/debootstrap" sh "$tools/usr/sbin/debootstrap" "$@"; }
fi
packages="linux-image-cloud-amd64 kmod iproute2 nfs-kernel-server nfs-common rpcbind samba cifs-utils"
packages="$packages quota exfatprogs dosfstools btrfs-progs xfsprogs"
run debootstrap --variant=minbase --include="${packages// /,}" bookworm "$root" ${DEBIAN_MIRROR:-} # debootstrap knows a mirror
rm -rf "$root"/var/cache/apt/archives/*.deb
cp "$root"/boot/vmlinuz-* "$dir/vmlinuz"
cp "$root"/boot/initrd.img-* "$dir/initrd"
truncate -s 64G "$dir/disk.part"
mkfs.ext4 -q -F -d "$root" "$dir/disk.part"
mv "$dir/disk.part" "$dir/disk.img" && rm -rf --one-file-system "$root"
