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
drop() { runuser -u ann -- cp "$1" "$lab/outbox/"; }
arrived() { until_ 60 cmp "$1" "$centre/inbox/FL-LAB/$(basename "$1")"; }
delivered() { until_ 60 sh -c "ls $lab/delivered/*/$(basename "$1")"; }

say "install the package"
dpkg -i /story/old.deb
id sealpost
man -w sealpost-agent-join >/dev/null
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

say "two agents as services, side by side"
sealpost hub invite FL-LAB --role send --out /tmp/FL-LAB.join --dir $home/DC-HQ
sealpost hub invite CA-RC --role receive --out /tmp/CA-RC.join --dir $home/DC-HQ
sealpost hub bind ca_rc_queue fl-lab.dat --dir $home/DC-HQ
sealpost agent join /tmp/CA-RC.join --dir $centre
sealpost agent join /tmp/FL-LAB.join --dir $lab --approve CA-RC
sed -i 's/^reserve = .*/reserve = "64MiB"/' $centre/agent.toml
for dir in $centre $lab; do
	sealpost agent install --dir $dir --group scientists | tee /tmp/install.log
	if command -v setfacl >/dev/null; then unless grep 'left for you to do' /tmp/install.log; else grep 'setfacl -m g:scientists:rwx' /tmp/install.log; fi
	sealpost agent start --dir $dir
	sealpost agent status --dir $dir >/dev/null
	[ -n "$(systemctl show -P StatusText "sealpost-agent@$(basename $dir)")" ]
done
[ "$(grep CapEff "/proc/$(pid sealpost-agent@FL-LAB)/status" | cut -f2)" = 0000000010000000 ] # CAP_LEASE, no more
[ "$(stat -c %U "/proc/$(pid sealpost-agent@FL-LAB)")" != root ]

say "a scientist drops a file, and takes another"
echo a,b,c >/tmp/data.csv
drop /tmp/data.csv
arrived /tmp/data.csv
delivered /tmp/data.csv
runuser -u ann -- cat "$centre/inbox/FL-LAB/data.csv" >/dev/null
runuser -u ann -- mv "$centre/inbox/FL-LAB/data.csv" /tmp/taken.csv
unless runuser -u ann -- ls $lab/state
if command -v setfacl >/dev/null; then
	runuser -u ann -- sh -c "umask 077; mkdir $lab/outbox/run-7 && echo 7 > $lab/outbox/run-7/x && touch $lab/outbox/run-7.done"
	until_ 90 grep -q 7 $centre/inbox/FL-LAB/run-7/x
fi

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

say "stop: hands back within the grace time"
for s in agent:FL-LAB agent:CA-RC hub:DC-HQ; do
	began=$SECONDS
	sealpost ${s%:*} stop --name ${s#*:}
	[ $((SECONDS - began)) -le 25 ]
	[ "$(systemctl show -P Result "sealpost-${s%:*}@${s#*:}")" = success ]
	sealpost ${s%:*} stop --name ${s#*:} # again is no error
	if sealpost ${s%:*} status --name ${s#*:}; then false; else [ $? = 3 ]; fi
done
unless sealpost agent status --dir $lab 2>/tmp/status.log
grep 'Start it with: sealpost agent start --name FL-LAB' /tmp/status.log
for s in hub:DC-HQ agent:FL-LAB agent:CA-RC; do sealpost ${s%:*} start --name ${s#*:}; done

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
say "the end"
touch /story/done
