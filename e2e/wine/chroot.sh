#!/bin/sh
# Make a folder with Wine 10 in it (Debian trixie, about 1.5 GB), and nothing else on this machine:
#   sudo e2e/wine/chroot.sh /var/tmp/wine
#   sudo SEALPOST_WINE=/var/tmp/wine make wine
# Remove it with: sudo rm -rf --one-file-system /var/tmp/wine
set -eu
root=${1:?usage: chroot.sh FOLDER}
[ ! -x "$root/usr/lib/wine/wine64" ] || { echo "$root has Wine already"; exit 0; }
run() { "$@"; }
if ! command -v debootstrap >/dev/null; then # unpacked beside, not installed
  tools=$(mktemp -d); trap 'rm -rf "$tools"' EXIT
  (cd "$tools" && apt-get download -qq debootstrap && dpkg -x debootstrap_*.deb .)
  run() { shift; DEBOOTSTRAP_DIR="$tools/usr/share/debootstrap" sh "$tools/usr/sbin/debootstrap" "$@"; }
fi
run debootstrap --variant=minbase --include=wine64 trixie "$root" ${DEBIAN_MIRROR:-} # debootstrap knows a mirror
rm -rf "$root"/var/cache/apt/archives/*.deb
chroot "$root" /usr/lib/wine/wineserver64 --version
