# The tools of compare.sh that need daemons or a network of their own.

# --- Syncthing: one sender, one or three receivers, connected directly; nothing is encrypted but the connections
syncthing_node() { # NAME NUMBER
  local h=$W/st/$1
  mkdir -p "$h"
  STNODEFAULTFOLDER=1 syncthing generate --home "$h" --no-default-folder >/dev/null 2>&1
  sed -i -e "s|<address>127.0.0.1:[0-9]*</address>|<address>127.0.0.1:$((PORT + 100 + $2))</address>|" \
    -e "s|<listenAddress>default</listenAddress>|<listenAddress>tcp://127.0.0.1:$((PORT + 200 + $2))</listenAddress>|" \
    -e 's|<\(globalAnnounceEnabled\|localAnnounceEnabled\|relaysEnabled\|natEnabled\|startBrowser\)>true<|<\1>false<|' \
    -e 's|<urAccepted>0<|<urAccepted>-1<|' -e 's|<autoUpgradeIntervalH>12<|<autoUpgradeIntervalH>0<|' "$h/config.xml"
  syncthing --home "$h" --device-id
}
syncthing_link() { # HOME FOLDER TYPE ID=PORT…
  local h=$1 folder=$2 type=$3 devices="" members=""
  shift 3
  for d in "$@"; do
    members+="<device id=\"${d%=*}\"/>"
    devices+="<device id=\"${d%=*}\"><address>tcp://127.0.0.1:${d#*=}</address></device>"
  done
  sed -i "s|</configuration>|<folder id=\"drop\" path=\"$folder\" type=\"$type\" rescanIntervalS=\"3600\" fsWatcherEnabled=\"true\" fsWatcherDelayS=\"1\">$members</folder>$devices</configuration>|" "$h/config.xml"
}
by_syncthing() { # the drop is moved into the watched folder, as with sealpost
  local n=$2 want ids=() me i
  want=$(ls "$1" | wc -l)
  mv "$W/prepared"/* "$W/st-from/"
  for i in $(seq "$n"); do
    for _ in $(seq 2400); do [ "$(find "$W/to/$i" -name 'f*.dat' | wc -l)" -ge "$want" ] && break; sleep 0.05; done
  done
}
measure_syncthing() { # LOAD RECIPIENTS
  local n=$2 me ids=() pids=() i
  rm -rf "$W/st" "$W/st-from" "$W/prepared" "$W/to"; mkdir -p "$W/st-from/.stfolder" "$W/prepared"
  cp "$W/data/$1"/* "$W/prepared/"
  me=$(syncthing_node from 0)
  for i in $(seq "$n"); do
    mkdir -p "$W/to/$i/.stfolder"
    ids+=("$(syncthing_node "to$i" "$i")=$((PORT + 200 + i))")
    syncthing_link "$W/st/to$i" "$W/to/$i" receiveonly "$me=$((PORT + 200))"
  done
  syncthing_link "$W/st/from" "$W/st-from" sendonly "${ids[@]}"
  for h in "$W"/st/*; do syncthing --home "$h" --no-browser --no-restart >"$h/log" 2>&1 & pids+=($!); started+=($!); done
  for _ in $(seq 200); do [ "$(grep -c 'Established secure connection' "$W/st/from/log" || true)" -ge "$n" ] && break; sleep 0.1; done
  sleep 3 # the first scans
  keep_to=1 measure "$1" "$n" by_syncthing || true
  kill "${pids[@]}"; wait "${pids[@]}" 2>/dev/null || true
}
run_syncthing() {
  have syncthing || return 0
  for n in 1 3; do measure_syncthing small "$n"; measure_syncthing large "$n"; done
}

# --- NNCP: one packet for each file and recipient, a call to each recipient's daemon, and each recipient tosses
nncp_node() { # NAME
  nncp-cfgnew -nocomments >"$W/nncp/$1.hjson"
  mkdir -p "$W/nncp/$1.spool"
  sed -i "s|/var/spool/nncp/log|$W/nncp/$1.log|; s|/var/spool/nncp|$W/nncp/$1.spool|" "$W/nncp/$1.hjson"
}
nncp_field() { awk -v f="$2:" '/^  self: {/{s=1} s && $1 == f {print $2; exit}' "$W/nncp/$1.hjson"; }
nncp_neigh() { # OF NAME MORE: the entry of NAME in the configuration of OF
  local keys="" f
  for f in id exchpub signpub noisepub; do keys+="      $f: $(nncp_field "$2" $f)\n"; done
  sed -i "s|^  neigh: {|  neigh: {\n    $2: {\n$keys$3    }|" "$W/nncp/$1.hjson"
}
by_nncp() {
  for i in $(seq "$2"); do
    (cd "$1" && ls | xargs -P 2 -I{} nncp-file -quiet -cfg "$W/nncp/from.hjson" {} "to$i:")
    nncp-call -quiet -onlinedeadline 1 -cfg "$W/nncp/from.hjson" "to$i" >/dev/null
    nncp-toss -quiet -cfg "$W/nncp/to$i.hjson"
  done
}
run_nncp() {
  have nncp-file nncp-daemon nncp-call nncp-toss || return 0
  mkdir -p "$W/nncp"
  for node in from to1 to2 to3; do nncp_node $node; done
  for i in 1 2 3; do
    nncp_neigh from "to$i" "      addrs: {lan: \"127.0.0.1:$((PORT + 300 + i))\"}\n"
    nncp_neigh "to$i" from "      incoming: \"$W/to/$i\"\n"
    nncp-daemon -quiet -bind "127.0.0.1:$((PORT + 300 + i))" -cfg "$W/nncp/to$i.hjson" & started+=($!)
  done
  sleep 1
  both by_nncp
}
