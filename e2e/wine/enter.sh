#!/bin/sh
# enter.sh ROOT MACHINE PROGRAM...: run a program in the folder that chroot.sh has made, with the folder of one machine as /machine.
# The mounts are this process's own and end with it.
set -eu
root=$1 machine=$2
shift 2
mkdir -p "$root/machine"
mount --make-rprivate /
mount --bind "$machine" "$root/machine"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
