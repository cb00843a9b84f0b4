#!/bin/bash
# The same drop through sealpost and through what one might take instead, on one file system, in one run. Every tool is set up
# on loopback in its usual way; one that is not installed is skipped and named. `make bench-compare` runs it.
#
#   ROOM   the folder to work in; bench sets it          FILES  small files of 4 KiB (default 2000)
#   BENCH  the program of bench/e2e                      LARGE, SIZE  large files (default 4 of 128 MiB)
#   BIN    the sealpost program                          TOOLS  which ones (default all)
set -euo pipefail
FILES=${FILES:-2000} LARGE=${LARGE:-4} SIZE=${SIZE:-128} TOOLS=${TOOLS:-sealpost rsync rsync-archive sftp syncthing nncp}
W=$ROOM/compare PORT=${PORT:-19822}
started=()
trap 'for p in "${started[@]:-}"; do [ -n "$p" ] && kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true' EXIT
mkdir -p "$W"/data/{small,large}

busy() { awk '/^cpu /{print ($2+$3+$4+$7+$8+$9)/100}' /proc/stat; }
now() { date +%s.%N; }
have() { for c in "$@"; do command -v "$c" >/dev/null || { echo "skipped: $tool, for there is no $c here"; return 1; }; done; }
arrived() { find "$1" -type f -size "+3" | wc -l; }

# measure LOAD RECIPIENTS FUNCTION: runs it, checks what arrived, and prints a line.
measure() {
  local load=$1 n=$2 do=$3 t b s d rate unit want=$FILES
  [ "$load" = large ] && want=$LARGE
  rm -rf "$W/tmp"; [ -n "${keep_to:-}" ] || rm -rf "$W/to"; mkdir -p "$W/tmp"; for i in $(seq "$n"); do mkdir -p "$W/to/$i"; done
  sync -f "$ROOM"; b=$(busy) t=$(now)
  $do "$W/data/$load" "$n"
  s=$(now); sync -f "$ROOM"; d=$(now)
  for i in $(seq "$n"); do
    [ "$(arrived "$W/to/$i")" = "$want" ] || { echo "$tool: not everything of $load arrived at $i"; return 1; }
  done
  line "$load" "$n" "$(echo "$s - $t" | bc)" "$(echo "$d - $t" | bc)" "$(echo "$(busy) - $b" | bc)"
}

# line LOAD RECIPIENTS SECONDS SECONDS_WITH_SYNC CPU
line() {
  if [ "$1" = large ]; then rate=$(echo "$LARGE * $SIZE * 1.048576 / $4" | bc -l) unit=MB/s; else rate=$(echo "$FILES / $4" | bc -l) unit=files/s; fi
  printf '%-14s %-6s %d recipients  %8.2f s, on the disk after %8.2f s  %8.0f %-8s CPU %7.2f s\n' "$tool" "$1" "$2" "$3" "$4" "$rate" "$unit" "$5"
}

both() { for n in 1 3; do measure small "$n" "$1"; measure large "$n" "$1"; done; }

data() {
  python3 - "$W/data" "$FILES" "$LARGE" "$SIZE" <<'P'
import os, sys
to, files, large, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
for i in range(files):
    open(f"{to}/small/f{i:05d}.dat", "wb").write(os.urandom(4096))
for i in range(large):
    with open(f"{to}/large/f{i:05d}.dat", "wb") as f:
        for _ in range(size):
            f.write(os.urandom(1 << 20))
P
}

# --- sealpost: its own benchmark, in this same room
sealpost() {
  "$BENCH" -plain -dir "$ROOM" -room 12GiB -bin "$BIN" -only small,large -small "$FILES" -large "$LARGE" -size "${SIZE}MiB" -json "$W/sealpost.json" >/dev/null
  python3 - "$W/sealpost.json" <<'P'
import json, sys
for r in json.load(open(sys.argv[1]))["runs"]:
    print(r["name"], r["recipients"], r["seconds"], r["seconds_to_sign"], r["machine_cpu_seconds"])
P
}
run_sealpost() { sealpost | while read -r load n s signed cpu; do line "$load" "$n" "$s" "$signed" "$cpu"; done; }

# --- ssh, for rsync and sftp
start_ssh() {
  [ -n "${ssh_runs:-}" ] && return
  mkdir -p "$W/ssh" /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$W/ssh/host"; ssh-keygen -q -t ed25519 -N '' -f "$W/ssh/key"; cp "$W/ssh/key.pub" "$W/ssh/allowed"
  printf '%s\n' "Port $PORT" 'ListenAddress 127.0.0.1' "HostKey $W/ssh/host" "AuthorizedKeysFile $W/ssh/allowed" 'StrictModes no' 'UsePAM no' \
    'PermitRootLogin yes' "PidFile $W/ssh/pid" 'Subsystem sftp internal-sftp' >"$W/ssh/config"
  "$(command -v sshd)" -D -f "$W/ssh/config" 2>/dev/null & started+=($!)
  ssh_with=(-p "$PORT" -i "$W/ssh/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR)
  for _ in $(seq 50); do ssh "${ssh_with[@]}" 127.0.0.1 true 2>/dev/null && break; sleep 0.1; done
  ssh_runs=1
}
start_age() {
  [ -f "$W/age1" ] || for i in 1 2 3; do age-keygen -o "$W/age$i" 2>/dev/null; age-keygen -y "$W/age$i" >"$W/age$i.pub"; done
}
to_keys() { for i in $(seq "$1"); do printf -- '-R %s ' "$W/age$i.pub"; done; }

# one age process for each file, rsync to each recipient, one age process for each file there
by_rsync() {
  mkdir -p "$W/tmp/sealed"
  (cd "$1" && ls | xargs -P 2 -I{} age $(to_keys "$2") -o "$W/tmp/sealed/{}.age" {})
  for i in $(seq "$2"); do
    mkdir -p "$W/tmp/in$i"
    rsync -a -e "ssh ${ssh_with[*]}" "$W/tmp/sealed/" "127.0.0.1:$W/tmp/in$i/"
    (cd "$W/tmp/in$i" && ls | sed 's/.age$//' | xargs -P 2 -I{} age -d -i "$W/age$i" -o "$W/to/$i/{}" {}.age)
  done
}
run_rsync() { have rsync age sshd || return 0; start_ssh; start_age; both by_rsync; }

# the whole drop as one archive
by_archive() {
  tar -C "$1" -c . | age $(to_keys "$2") -o "$W/tmp/all.age"
  for i in $(seq "$2"); do
    rsync -a -e "ssh ${ssh_with[*]}" "$W/tmp/all.age" "127.0.0.1:$W/tmp/in$i.age"
    age -d -i "$W/age$i" "$W/tmp/in$i.age" | tar -C "$W/to/$i" -x
  done
}
run_rsync-archive() { have rsync age sshd || return 0; start_ssh; start_age; both by_archive; }

# no encryption of the files at all
by_sftp() {
  for i in $(seq "$2"); do
    echo "put -r $1/. $W/to/$i" | sftp -q -b - -P "$PORT" "${ssh_with[@]:2}" 127.0.0.1 >/dev/null
  done
}
run_sftp() { have sftp sshd || return 0; start_ssh; both by_sftp; }

. "$(dirname "$0")/others.sh"

echo "$FILES files of 4 KiB, and $LARGE files of $SIZE MiB; rates count from the drop until it is on the disk"
data
for tool in $TOOLS; do run_"$tool"; done
