# shellcheck shell=bash
# 64 MiB in one piece, cut into segments by nobody between the guest and dom0's TCP.

start 'kernel="file.xen"' 'memory=112'
frames=$(mktemp)
timeout 60 tcpdump -n -i "$(vif)" -c 200 "src host $ADDRESS and greater 3000" >"$frames" 2>&1 &
tcpdump=$!
wait_for 20 grep -q 'listening on' "$frames"
begun=$(now)
expect '64 MiB arrive whole' "$(cut -d' ' -f1 file.sum)" "$(curl -s -m 200 "$URL/64m.bin" | sha256sum | cut -d' ' -f1)"
echo "  (in $(seconds_since "$begun") s)"
kill "$tcpdump" 2>/dev/null
wait "$tcpdump"
large=$(grep -c 'IP 10.0.0.2.80 >' "$frames")
check "dom0's interface sees frames over the MTU ($large of them)" test "$large" -ge 100
length=$(sed -n '/IP 10.0.0.2.80 >/s/.*length \([0-9]*\).*/\1/p' "$frames" | sort -n | tail -n 1)
check "the largest of them has $length bytes" test "${length:-0}" -gt 30000
expect 'the MTU' 1500 "$(cat "/sys/class/net/$(vif)/mtu")"
says 'the log says that TSO was agreed' 'vif/0 .*tso4'
well 'file'
rm "$frames"
