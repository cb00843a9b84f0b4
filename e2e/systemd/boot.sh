#!/bin/bash
# Makes a machine of its own out of this one: the file system lies under an overlay in memory, processes, network, cgroups and
# names are private, and systemd is process 1. To be run by: unshare -m -p -f -C -u -i -n --kill-child boot.sh SHARED
# SHARED is the only folder in which anything stays; it holds story.sh, and gets what the story says.
set -e
shared=$1
mount --make-rprivate /
machine=$(mktemp -d)
mount -t tmpfs -o size=2g,mode=755 machine "$machine"
mkdir "$machine"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$machine/upper,workdir=$machine/work" "$machine/root"
cd "$machine/root"
mkdir -p proc sys dev run tmp story old
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
for folder in run tmp; do mount -t tmpfs -o mode=1777 "$folder" "$folder"; done
chmod 755 run
mount --bind "$shared" story
ip link set lo up
hostname sealpost-story

# Nothing of the machine around starts here.
rm -rf etc/systemd/system/*.wants
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-remount-fs.service systemd-networkd.service getty.target \
	systemd-udevd-control.socket systemd-udevd-kernel.socket networking.service ifupdown-pre.service; do
	ln -sf /dev/null "etc/systemd/system/$unit"
done
: > etc/fstab
cat > etc/systemd/system/story.service <<'UNIT'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
After=basic.target systemd-journald.service

[Service]
Type=oneshot
ExecStart=/bin/bash /story/story.sh
StandardOutput=append:/story/said
StandardError=append:/story/said
TimeoutStartSec=10min
UNIT
printf '[Unit]\nRequires=story.service\nAllowIsolate=yes\n' > etc/systemd/system/story.target

pivot_root . old
exec chroot . /bin/sh -c 'umount -l /old; export container=story; exec /lib/systemd/systemd --unit=story.target --show-status=no --log-target=journal'
