#!/bin/bash
# The life of a hub and two agents as services: installed from a package, enrolled, killed, hung, stopped, upgraded, purged.
set -eE
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND"; systemctl --no-pager status "sealpost-*" | tail -60; journalctl --no-pager -o cat -u "sealpost-*" | tail -60; tail -5 /tmp/*.log 2>/dev/null; exit 1' ERR
home=/var/lib/sealpost
lab=$home/FL-LAB centre=$home/CA-RC

say() { echo "== $(date +%T) $*"; }
# until SECONDS COMMAND...: repeat until it succeeds
until_() {
	local end=$((SECONDS + $1)); shift
	until "$@" >/tmp/until.log 2>&1; do
		[ $SECONDS -lt $end ] || { echo "not within the time: $*"; cat /tmp/until.log; return 1; }
		sleep 0.1
	done
}
# unless COMMAND...: it must fail. (A plain ! is no check: set -e passes over it.)
unless() { if "$@"; then return 1; fi; }
pid() { systemctl show -P MainPID "$1"; }
serves() { [ "$(systemctl is-active "$1")" = active ] && [ "$(pid "$1")" != "$2" ] && [ "$(pid "$1")" != 0 ]; }
ann() { runuser -u ann -- "$@"; }
drop() { ann cp "$1" "$lab/outbox/"; }
arrived() { until_ 60 cmp "$1" "$centre/inbox/FL-LAB/$(basename "$1")"; }
delivered() { until_ 60 sh -c "ls $lab/delivered/*/$(basename "$1")"; }

say "install the package"
dpkg -i /story/old.deb
id sealpost
for page in $(dpkg -L sealpost | grep /man1/); do
	[ -z "$(man --warnings -l $page 2>&1 >/dev/null | tee -a /dev/stderr)" ]
done
man sealpost-agent-join | grep -q invitation
bash -n /usr/share/bash-completion/completions/sealpost
groupadd scientists
useradd --no-create-home --groups scientists ann

say "a hub as a service"
sealpost hub init --dir $home/DC-HQ --name DC-HQ --host localhost
sed -i 's/^reserve = .*/reserve = "64MiB"/; s/^floor = .*/floor = "32MiB"/; s/^ballast = .*/ballast = "1MiB"/' $home/DC-HQ/hub.toml
sealpost hub install --dir $home/DC-HQ
sealpost hub start --name DC-HQ
sealpost hub status --dir $home/DC-HQ # at once: the start has waited until it serves
sealpost hub status --name DC-HQ | grep 'installed, running'
[ "$(stat -c %U $home/DC-HQ/state/hub.key)" = sealpost ]

say "what cannot be is said"
fails() { local want=$1; shift; unless "$@" >/tmp/fails.log 2>&1; grep -e "$want" /tmp/fails.log; }
fails 'run the same command with sudo' runuser -u ann -- sealpost hub install --dir $home/DC-HQ
fails 'run the same command with sudo' runuser -u ann -- sealpost hub stop --name DC-HQ
fails 'no account "nobody-here".*useradd --system' sealpost hub install --dir $home/DC-HQ --user nobody-here
fails 'there is no agent in /srv/nothing' sealpost agent install --dir /srv/nothing
fails 'is not installed as a service.*sealpost agent install --name NOBODY' sealpost agent start --name NOBODY
fails 'is no name for a service' sealpost hub stop --name ../x
sealpost hub init --dir /srv/DC-TWO --name DC-HQ --host localhost --listen :8444 >/dev/null
fails 'the name DC-HQ is taken: sealpost-hub@DC-HQ serves /var/lib/sealpost/DC-HQ' sealpost hub install --dir /srv/DC-TWO
fails 'DC-HQ is taken: sealpost-hub@DC-HQ serves it already' sealpost hub install --dir $home/DC-HQ --name second
sealpost hub status --name DC-HQ # all of that has changed nothing
sealpost hub install --dir $home/DC-HQ | grep 'installed already, and has been renewed'
sealpost hub init --dir $home/DC-HQ --name DC-HQ --host localhost >/tmp/init.log 2>&1 # again, in a folder that is the service's by now
grep "Working as sealpost, to whom $home/DC-HQ belongs" /tmp/init.log
grep 'Everything was there already' /tmp/init.log
fails 'sealpost-hub@DC-HQ serves /var/lib/sealpost/DC-HQ, and not /srv/DC-TWO' sealpost hub stop --dir /srv/DC-TWO
[ -z "$(find $home/DC-HQ/state ! -user sealpost)" ]

say "two agents as services, side by side"
sealpost hub invite FL-LAB --role send --out /tmp/FL-LAB.join --dir $home/DC-HQ
sealpost hub invite CA-RC --role receive --out /tmp/CA-RC.join --dir $home/DC-HQ
sealpost hub bind ca_rc_queue fl-lab.dat --dir $home/DC-HQ
sealpost agent join /tmp/CA-RC.join --dir $centre
sealpost agent join /tmp/FL-LAB.join --dir $lab --approve CA-RC
sed -i 's/^reserve = .*/reserve = "64MiB"/' $centre/agent.toml
for dir in $centre $lab; do
	sealpost agent install --dir $dir --group scientists | tee /tmp/install.log
	unless grep 'left for you to do' /tmp/install.log
	sealpost agent start --dir $dir
	sealpost agent status --dir $dir >/dev/null
	[ -n "$(systemctl show -P StatusText "sealpost-agent@$(basename $dir)")" ]
	sealpost agent doctor --dir $dir 2>&1 | grep "Working as sealpost, to whom $dir belongs"
done
[ "$(grep CapEff "/proc/$(pid sealpost-agent@FL-LAB)/status" | cut -f2)" = 0000000010000000 ] # CAP_LEASE, no more
[ "$(stat -c %U "/proc/$(pid sealpost-agent@FL-LAB)")" != root ]
sealpost agent status --name FL-LAB | tee /tmp/status.log # what an admin asks first
for line in 'installed, running' "Folder: *$lab" 'Account: *sealpost' 'starts with the machine' 'Since: *2' 'Process: *[1-9]' 'Says: *serving'; do grep "$line" /tmp/status.log >/dev/null; done
[ -z "$(systemd-analyze verify sealpost-hub@DC-HQ.service sealpost-agent@FL-LAB.service sealpost-agent@ANY.service 2>&1 | tee -a /dev/stderr)" ]
for s in hub@DC-HQ agent@FL-LAB; do systemd-analyze security --no-pager --threshold=25 sealpost-$s | tail -1; done

say "a third one: a name and an account of its own, a tray and an inbox elsewhere"
useradd --system --user-group --no-create-home carrier
sealpost hub invite SF-RC --role both --out /tmp/SF-RC.join --dir $home/DC-HQ
sealpost hub bind ca_rc_queue sf-rc.dat --dir $home/DC-HQ
mkdir -p "/srv/the lab" && chmod 700 "/srv/the lab" && install -d -m 755 -o ann /home/ann /home/ann/data
third="/srv/the lab/SF-RC"
sealpost agent join /tmp/SF-RC.join --dir "$third" --approve CA-RC
sed -i 's/^reserve = .*/reserve = "64MiB"/; s|^dir = "inbox"|dir = "/home/ann/data/inbox"|; s|^dir = "."|dir = "/data/fl/tray"|' "$third/agent.toml"
grep -A3 -e '^dir = ' "$third/agent.toml" >/dev/null

say "what others can replace is refused, and nothing is changed"
third_install() { sealpost agent install --dir "$third" --name third --user carrier --group scientists; }
fails '/home/ann/data/inbox: /home/ann belongs to ann, who can replace what lies in it' third_install
fails 'choose a folder outside of /home/ann, such as one in /srv   (or let the service run as that account: --user ann)' third_install
[ ! -e /data ] && [ ! -e /etc/systemd/system/sealpost-agent@third.service ] && [ "$(stat -c %U "$third")" = root ]
sed -i 's|"/home/ann/data/inbox"|"/home/lab/data/inbox"|' "$third/agent.toml"
install -d -m 755 -o ann /home/lab/data
ann ln -s /etc /home/lab/data/inbox
fails '/home/lab/data/inbox: /home/lab/data belongs to ann, who can replace what lies in it' third_install
sed -n 's/^    \(chown -h root [^ ]*\) .*/\1/p' /tmp/fails.log >/tmp/left.sh
sh -e /tmp/left.sh # as it says
[ "$(stat -c %U /home/lab/data)" = root ]
fails '/home/lab/data/inbox is a link, and others than root can change where it leads' third_install
[ "$(stat -c '%U %a' /etc)" = 'root 755' ] && [ ! -e /data ]
rm /home/lab/data/inbox
third_install | tee /tmp/install.log
sed -n 's/^  \(chmod o+x .*\)  #.*/\1/p' /tmp/install.log >/tmp/left.sh
grep "chmod o+x '/srv/the lab'" /tmp/left.sh
sh -e /tmp/left.sh # as it says
sealpost agent install --dir "$third" --user carrier --group scientists >/tmp/install.log # it knows its name now
unless grep 'left for you to do' /tmp/install.log
sealpost agent start --dir "$third"
[ "$(stat -c %U "/proc/$(pid sealpost-agent@third)")" = carrier ]
until_ 20 test -e /data/fl/tray/STATUS.txt
until_ 20 test -e /home/lab/data/STATUS.txt
[ "$(stat -c %U /home/lab/data)" = root ] && ann cat /home/lab/data/STATUS.txt >/dev/null
unless ann mv /data/fl/tray/outbox /data/fl/tray/mine 2>/dev/null
ann ln -s /home/lab/data/inbox /home/ann/inbox # she has it at hand all the same
ann ls /home/ann/inbox/ >/dev/null
echo from elsewhere >/tmp/elsewhere.csv
ann cp /tmp/elsewhere.csv /data/fl/tray/outbox/
until_ 60 cmp /tmp/elsewhere.csv $centre/inbox/SF-RC/elsewhere.csv

say "who has become the service names no folder for the next install"
chown carrier "$third/agent.toml"
third_install >/dev/null # nothing new is named
cp -p "$third/agent.toml" /tmp/agent.toml
sed -i 's|^dir = "/data/fl/tray"|dir = "/etc/sealpost-tray"|' "$third/agent.toml"
chown carrier "$third/agent.toml"
fails '/etc/sealpost-tray/outbox: /srv/the lab/SF-RC/agent.toml opens it to the service, and root has not written that file' third_install
[ ! -e /etc/sealpost-tray ]
cp -p /tmp/agent.toml "$third/agent.toml"
third_install | grep 'renewed'
sealpost agent restart --name third

say "a scientist drops a file, and takes another"
echo a,b,c >/tmp/data.csv
drop /tmp/data.csv
arrived /tmp/data.csv
delivered /tmp/data.csv
ann cat "$centre/inbox/FL-LAB/data.csv" >/dev/null
ann mv "$centre/inbox/FL-LAB/data.csv" /tmp/taken.csv
ann mv $lab/delivered/*/data.csv /tmp/back.csv
cmp /tmp/data.csv /tmp/back.csv
for closed in $lab/state $lab/state/identity.key $centre/state $home/DC-HQ/state $home/DC-HQ-root; do unless ann ls $closed 2>/dev/null; done
[ -z "$(ann find $home "$third" -path '*/state/*' 2>/dev/null || true)" ]
ann cat $lab/STATUS.txt >/dev/null
ann sh -c "umask 077; mkdir $lab/outbox/run-7 && echo 7 > $lab/outbox/run-7/x && touch $lab/outbox/run-7.done"
until_ 90 grep -q 7 $centre/inbox/FL-LAB/run-7/x
ann rm -r $centre/inbox/FL-LAB/run-7
until_ 60 sh -c "ls -d $lab/delivered/*/run-7"
ann sh -c "mv $lab/delivered/*/run-7 /tmp/run-7"

say "what is moved keeps the access it had"
ann sh -c 'umask 022; echo moved >/tmp/moved.csv; umask 077; echo closed >/tmp/closed.csv; umask 022; mkdir /tmp/run-8; echo 8 >/tmp/run-8/x'
ann sh -c "mv /tmp/moved.csv /tmp/closed.csv /tmp/run-8 $lab/outbox/; touch $lab/outbox/run-8.done"
echo moved >/tmp/moved.csv
arrived /tmp/moved.csv
told() { sealpost agent status --dir $lab | grep -A2 -F "$1" | grep -e "$2"; }
until_ 60 told closed.csv 'copy it here instead of moving it'
until_ 60 told run-8 'it cannot be moved out of this folder'
[ -e $lab/outbox/closed.csv ] && [ -e $lab/outbox/run-8/x ]
ann chgrp -R scientists $lab/outbox/closed.csv $lab/outbox/run-8
ann chmod -R g+rwX $lab/outbox/closed.csv $lab/outbox/run-8
until_ 90 test -e $centre/inbox/FL-LAB/closed.csv
until_ 90 test -e $centre/inbox/FL-LAB/run-8/x

say "a start that fails says why, and where to look"
sealpost agent stop --name third
sed -i 's/^role = .*/role = "nobody"/' "$third/agent.toml"
fails 'it does not serve (exit-code, exit code 1).*; see its log: journalctl -e -u sealpost-agent@third' sealpost agent start --name third
fails 'not serving now' sealpost agent status --name third # it is tried again and again
grep -e 'Failure: *exit-code' /tmp/fails.log
grep -e 'Log: *journalctl' /tmp/fails.log
sealpost agent uninstall --name third
fails 'not installed' sealpost agent status --name third
[ -e "$third/state/identity.key" ]
[ -z "$(systemctl --no-legend list-units --all 'sealpost-agent@third*')" ]

say "kill -9: started again within seconds"
for s in sealpost-hub@DC-HQ sealpost-agent@FL-LAB sealpost-agent@CA-RC; do
	before=$(pid $s); began=$SECONDS
	kill -9 "$before"
	until_ 20 serves $s "$before"
	echo "$s serves again after $((SECONDS - began)) s"
done
echo after the kills >/tmp/killed.csv
drop /tmp/killed.csv
arrived /tmp/killed.csv

say "hung: the watchdog notices"
for s in sealpost-hub@DC-HQ sealpost-agent@CA-RC; do
	mkdir -p /run/systemd/system/$s.service.d
	printf '[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n' >/run/systemd/system/$s.service.d/quick.conf
	systemctl daemon-reload
	systemctl restart $s
	before=$(pid $s); began=$SECONDS
	sleep 7 # it lives: more than two watchdog times
	serves $s 0
	[ "$(pid $s)" = "$before" ]
	kill -STOP "$before"
	until_ 40 serves $s "$before"
	echo "$s serves again after $((SECONDS - began - 7)) s"
	rm -r /run/systemd/system/$s.service.d
	systemctl daemon-reload
done
echo after the hang >/tmp/hung.csv
drop /tmp/hung.csv
arrived /tmp/hung.csv

say "stop: hands back within the grace time, also what is under way"
head -c 256M /dev/urandom >/tmp/large.bin
drop /tmp/large.bin
until_ 60 sh -c "ls $centre/inbox/.sealpost/tmp/*/* || ls $centre/inbox/FL-LAB/large.bin"
for s in agent:FL-LAB agent:CA-RC hub:DC-HQ; do
	began=$SECONDS
	sealpost ${s%:*} stop --name ${s#*:}
	[ $((SECONDS - began)) -le 25 ]
	[ "$(systemctl show -P Result "sealpost-${s%:*}@${s#*:}")" = success ]
	[ $s != agent:CA-RC ] || sealpost hub status --dir $home/DC-HQ | grep -e '(0 leased'
	sealpost ${s%:*} stop --name ${s#*:} # again is no error
	if sealpost ${s%:*} status --name ${s#*:}; then false; else [ $? = 3 ]; fi
done
unless sealpost agent status --dir $lab 2>/tmp/status.log
grep 'Start it with: sealpost agent start --name FL-LAB' /tmp/status.log
for s in hub:DC-HQ agent:FL-LAB agent:CA-RC; do sealpost ${s%:*} start --name ${s#*:}; done
arrived /tmp/large.bin
delivered /tmp/large.bin
rm -r /tmp/large.bin $lab/delivered/*/large.bin $centre/inbox/FL-LAB/large.bin

say "upgrade under traffic"
before=$(pid sealpost-hub@DC-HQ)
( for i in $(seq 100); do echo "file $i" >/tmp/up-$i.csv; drop /tmp/up-$i.csv; sleep 0.05; done ) &
dropping=$!
dpkg -i /story/new.deb
serves sealpost-hub@DC-HQ "$before"
unless sh -c "ls -l /proc/*/exe 2>/dev/null | grep 'sealpost (deleted)'"
wait $dropping
for i in $(seq 100); do arrived /tmp/up-$i.csv; done
[ "$(ls $centre/inbox/FL-LAB | grep -c '^up-')" = 100 ] # each once

say "uninstall stops first"
sealpost agent uninstall --name CA-RC
unless systemctl is-active sealpost-agent@CA-RC
[ ! -e /etc/systemd/system/sealpost-agent@CA-RC.service ]

say "the package's own unit runs an instance as well"
systemctl enable --now sealpost-agent@CA-RC
sealpost agent status --name CA-RC | grep 'installed, running'
echo by the template >/tmp/template.csv
drop /tmp/template.csv
arrived /tmp/template.csv

say "remove, purge"
dpkg -r sealpost
[ -z "$(systemctl list-units --no-legend --state=active 'sealpost-*')" ]
[ ! -e /usr/bin/sealpost ]
dpkg -P sealpost 2>&1 | tee /tmp/purge.log
grep 'keys and files stay' /tmp/purge.log
[ -e $lab/state/identity.key ]
[ -z "$(find /etc/systemd -name '*sealpost*')" ]
rm -r $home
dpkg -i /story/new.deb >/dev/null
id sealpost
dpkg -P sealpost
unless id sealpost # nothing of it is left where nothing was made with it
[ ! -e $home ]
say "the end"
touch /story/done
