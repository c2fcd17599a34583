# shellcheck shell=bash
# How little memory is enough, and how little work it is to do nothing.

start 'kernel="small.xen"' 'memory=16'
check_pages '6 MiB of site in a domain of 16 MiB' "$URL" "$IN/small"
check '... for 50 clients' sh -c "ab -q -k -n 500 -c 50 -s 60 $URL/ | grep -q '^Failed requests: *0'"
check '... still' serves
well '16 MiB'

# Time for timers of connections to end; then nothing is to be done.
wait_for 30 sh -c "! ss -tn dst $ADDRESS | grep -q ESTAB"
before=$(cpu_time)
sleep 10
used=$(($(cpu_time) - before))
check "idle for 10 s: $used hundredths of a second of processor time" test "$used" -le 10

least=16
for memory in 14 12 11 10 9 8; do
    stop
    create 'kernel="small.xen"' "memory=$memory" >/dev/null 2>&1 || break
    wait_for 20 serves || break
    curl -fsS -m 30 -o /dev/null "$URL/00.bin" || break
    least=$memory
done
[ "$memory" -eq "$least" ] || console | tail -n 2 | sed "s/^/    | $memory MiB: /"
echo "  (the least memory that serves this site: $least MiB)"
