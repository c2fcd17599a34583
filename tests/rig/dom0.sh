# Runs in dom0: see tests/rig/run.
# shellcheck disable=SC2016 # the inner shell expands
check() {
    what=$1
    shift
    "$@" >/tmp/check 2>&1 || { echo "bad: $what"; cat /tmp/check; }
}

for program in xl xenstore-ls xenstore-read xenstore-write xenstore-watch xentop bash busybox curl wrk ab \
    losetup dmsetup dd tcpdump ip bridge ss tc ethtool ping ping6 ncat hping3 modprobe dnsmasq radvd udhcpd guest-log dhcp-on dhcp-off wait-for xl-gone; do
    check "no $program" command -v "$program"
done
check 'iproute2, not busybox' sh -c 'ip -V | grep iproute2'
check 'iproute2 under busybox too' sh -c 'busybox timeout 5 ip -V | grep iproute2'
check 'xl info' sh -c 'xl info | grep "^xen_major.*4"'
check 'xl list' sh -c 'xl list | grep "^Domain-0 "'
check xenstore sh -c 'xenstore-write /rig/test value && [ "$(xenstore-read /rig/test)" = value ]'
check 'the bridge has its address' sh -c 'ip -4 addr show xenbr0 | grep 10.0.0.1/24'
check 'forward_delay' grep -x 0 /sys/class/net/xenbr0/bridge/forward_delay
check 'no network without --forward' [ ! -e /sys/class/net/eth0 ]
check netem tc qdisc add dev lo root netem delay 1ms
tc qdisc del dev lo root
dd if=/dev/zero of=/root/disk bs=4096 count=16 status=none
losetup --sector-size 4096 /dev/loop7 /root/disk
check 'sectors of 4096 bytes' sh -c '! dd if=/dev/loop7 of=/dev/null bs=512 count=1 iflag=direct'
printf '%s\n' '0 64 linear /dev/loop7 0' '64 8 error' '72 56 linear /dev/loop7 72' | dmsetup create broken
check 'dmsetup: what is whole' dd if=/dev/mapper/broken of=/dev/null bs=4096 count=8 iflag=direct
check 'dmsetup: what is broken' sh -c '! dd if=/dev/mapper/broken of=/dev/null bs=4096 skip=8 count=1 iflag=direct'
check 'dmsetup: what is whole again' dd if=/dev/mapper/broken of=/dev/null bs=4096 skip=9 iflag=direct
check 'dmsetup remove' dmsetup remove broken
losetup -d /dev/loop7
mkdir /www
echo page >/www/index.html
busybox httpd -h /www -p 10.0.0.1:80
check 'curl of busybox httpd' sh -c '[ "$(curl -s http://10.0.0.1/)" = page ]'
check wrk wrk -d 1 -c 2 -t 1 http://10.0.0.1/
check ab ab -q -n 10 http://10.0.0.1/
check 'wait-for gives up' sh -c '! wait-for 1 false'

sh /root/guest.sh

echo "put: $(sha256sum </srv/deep/b)"
echo "inner: $(sha256sum </root/folder/inner)"
echo "time: $(date +%s)"
echo 'on stderr' >&2
echo 'checks done'
seq 1 20000
exit 43
