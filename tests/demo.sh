#!/bin/bash
# Runs a container on a private gantryd and shows its line in a real rsyslogd. Leaves nothing behind.
set -eu
BIN=$(cd "$1" && pwd); R=$(mktemp -d); export GANTRY_HOST=unix://$R/s.sock; N=$(printf '%04x' $$)
cleanup() {
  "$BIN/gantry" ps -aq 2>/dev/null | xargs -r -n1 "$BIN/gantry" rm -f >/dev/null 2>&1 || true
  for p in "$R/gantryd.pid" "$R/rsyslog.pid"; do [ -s "$p" ] && kill "$(cat "$p")" 2>/dev/null || true; done
  sleep 1; ip link del "gd$N" 2>/dev/null || true
  nft list tables 2>/dev/null | grep "gd$N" | sed 's/^table/delete table/' | nft -f - 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -path "*/gd$N*" -exec rmdir {} + 2>/dev/null || true
  rm -rf "$R"
}
trap cleanup EXIT
PORT=$((20000 + $$ % 20000))
cat > "$R/rsyslog.conf" <<C
module(load="imtcp")
input(type="imtcp" port="$PORT" address="127.0.0.1")
*.* action(type="omfile" file="$R/received")
C
echo "== rsyslogd on port $PORT, gantryd with --log-driver syslog"
rsyslogd -n -f "$R/rsyslog.conf" -i "$R/rsyslog.pid" &
"$BIN/gantryd" -H "$GANTRY_HOST" --data-root "$R/data" --exec-root "$R/run" --bridge "gd$N" --bip 10.232.$(($$ % 250)).1/24 \
  --cgroup-parent "/gd$N" --log-driver syslog --log-opt "syslog-address=tcp://127.0.0.1:$PORT" --log-opt tag=demo 2> "$R/log" &
echo $! > "$R/gantryd.pid"
for _ in $(seq 100); do [ -S "$R/s.sock" ] && break; sleep 0.1; done
echo "== an image from busybox"
mkdir -p "$R/root/bin"; cp "$(command -v busybox)" "$R/root/bin/busybox"; ln -s busybox "$R/root/bin/sh"; ln -s busybox "$R/root/bin/echo"
tar -C "$R/root" -cf "$R/root.tar" .; "$BIN/gantry" import "$R/root.tar" busybox
echo "== a container that writes both streams"
"$BIN/gantry" run --name demo busybox sh -c 'echo to stdout; echo to stderr >&2'
"$BIN/gantry" ps -a; "$BIN/gantry" logs demo
for _ in $(seq 50); do grep -q "to stderr" "$R/received" 2>/dev/null && break; sleep 0.1; done
echo "== what rsyslogd received"; grep demo "$R/received"
echo "== the actors"; "$BIN/gantry" actors
