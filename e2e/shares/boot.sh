#!/bin/bash
# The first process of the virtual machine: shares on NFSv4 and SMB, the tests that lie beside this script, and the end. The last
# lines of the console have the exit status.
end() { echo "tests ended: $1"; sync; echo o >/proc/sysrq-trigger; sleep 60; }
trap 'end $?' EXIT
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TZ=UTC
for fs in proc:/proc sysfs:/sys devtmpfs:/dev; do
  mountpoint -q ${fs#*:} || mount -t ${fs%:*} ${fs%:*} ${fs#*:}
done
mount -o remount,rw /
for dir in /tmp /run /srv; do mount -t tmpfs -o mode=1777 tmpfs $dir; done
mkdir -p /srv/nfs /srv/smb /media/nfs /media/smb /run/rpcbind /run/samba /var/lib/nfs/v4recovery /var/lib/nfs/rpc_pipefs
ip link set lo up

# An export of its own disk: NFS does not export every tmpfs.
truncate -s 300M /tmp/nfs.img
mkfs.ext4 -qF /tmp/nfs.img
modprobe loop
mount -o loop /tmp/nfs.img /srv/nfs
modprobe -a nfsd nfsv4 cifs
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
rpcbind -w
echo '/srv/nfs 127.0.0.1(rw,no_root_squash,insecure,no_subtree_check,fsid=0)' >/etc/exports
exportfs -ra
rpc.nfsd 4
rpc.mountd
echo Y >/proc/fs/nfsd/v4_end_grace
echo 0 >/proc/sys/fs/leases-enable # the server gives no delegations
mount -t nfs -o vers=4.2 127.0.0.1:/ /media/nfs

mkdir -p /tmp/samba
cat >/tmp/smb.conf <<'CONF'
[global]
 map to guest = Bad User
 guest account = root
 pid directory = /run/samba
 private dir = /tmp/samba
 state directory = /tmp/samba
 cache directory = /tmp/samba
 lock directory = /tmp/samba
 disable spoolss = yes
 load printers = no
[share]
 path = /srv/smb
 read only = no
 guest ok = yes
 force user = root
 oplocks = no
 level2 oplocks = no
 smb2 leases = no
CONF
smbd -D -s /tmp/smb.conf
for _ in $(seq 60); do
  mount -t cifs //127.0.0.1/share /media/smb -o guest,vers=3.1.1,uid=0 2>/dev/null && break
  sleep 1
done
mountpoint -q /media/smb
echo "shares are mounted after $(cut -d' ' -f1 /proc/uptime) s"
modprobe -a exfat vfat btrfs xfs fuse quota_v2 || true
cd /mnt
failed=0
for test in *.test; do
  SEALPOST_IN_MACHINE=1 TMPDIR=/var/tmp ./"$test" -test.v -test.timeout 20m || failed=1
done
exit $failed
