# shellcheck shell=bash
# Clients that want no page. After each of them, somebody else gets one at once.

readonly SILENT=10000

unharmed() { # WHAT
    local begun
    begun=$(now)
    check "$1: others are served at once" serves_at_once
    echo "  (answered in $(seconds_since "$begun") s)"
    well "$1"
}

start

for ((i = 0; i < 20; i++)); do
    head -c 20000 /dev/urandom | ncat -w 1 "$ADDRESS" 80 >/dev/null 2>&1
done
unharmed 'garbage'

# One process holds them all.
half() {
    local fds=() fd i
    for ((i = 0; i < 500; i++)); do
        exec {fd}<>"/dev/tcp/$ADDRESS/80" || return
        printf 'GET / HTTP/1.1\r\nHost: a\r\nX-' >&"$fd" || return
        fds+=("$fd")
    done
    unharmed '500 half requests'
}
(half)

hping3 -q -c 1 -S -p 80 -a 10.0.0.99 "$ADDRESS" >/dev/null 2>&1
unharmed 'one spoofed SYN'

begun=$(now)
timeout 300 hping3 -q -c 20000 -i u50 -S -p 80 --rand-source "$ADDRESS" >"$IN/hping" 2>&1
echo "  ($(grep -o '^[0-9]* packets transmitted' "$IN/hping") in $(seconds_since "$begun") s)"
expect '20,000 SYNs were sent' '20000 packets transmitted' "$(grep -o '^[0-9]* packets transmitted' "$IN/hping")"
unharmed '20,000 SYNs from anywhere'

echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range
echo 'function delay() return 600000 end' >silent.lua
begun=$(now)
timeout 300 wrk -t 1 -c "$SILENT" -d 290 -s silent.lua "$URL/" >/dev/null 2>&1 &
silent=$!
opened() { [ "$(ss -tnH state established dst "$ADDRESS" | wc -l)" -ge $((SILENT * 9 / 10)) ]; }
check "$SILENT silent connections are open" wait_for 200 opened
echo "  (after $(seconds_since "$begun") s)"
unharmed "$SILENT silent connections"
kill "$silent" 2>/dev/null
wait "$silent" 2>/dev/null
unharmed 'when they have gone'
check_pages 'after all that' "$URL" "$IN/site"
