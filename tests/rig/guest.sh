# Runs in dom0: a Linux guest from dom0's own kernel and busybox, to see that xl and
# the scripts for a vif work.
bad() { echo "bad: guest: $*"; }

root=/tmp/guest
mkdir -p $root/bin $root/lib64 $root/lib $root/proc $root/sys $root/dev $root/www
cp /bin/busybox $root/bin/
cp -L /lib64/ld-linux-x86-64.so.2 $root/lib64/
LD_TRACE_LOADED_OBJECTS=1 /bin/busybox | sed -n 's/.* => \([^ ]*\) .*/\1/p' | while read -r library; do
    cp -L "$library" $root/lib/
done
cp "$(modinfo -n xen-netfront)" $root/netfront.ko
echo from-guest >$root/www/index.html
cat >$root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
insmod /netfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
ip addr add 10.0.0.2/24 dev eth0
ip link set eth0 up
httpd -p 80 -h /www
echo guest-is-ready
while :; do sleep 1; done
INIT
chmod +x $root/init
(cd $root && find . | cpio -o -H newc 2>/dev/null) >/root/guest.cpio
cat >/root/guest.xl <<'XL'
name = "linux"
type = "pv"
kernel = "/root/vmlinux"
ramdisk = "/root/guest.cpio"
memory = 160
vif = ["bridge=xenbr0,mac=00:16:3e:00:00:10"]
extra = "console=hvc0 quiet cryptomgr.notests"
XL
xl create /root/guest.xl || bad 'xl create'
wait-for 200 ping -c 1 -W 1 10.0.0.2 || bad 'no ping'
wait-for 60 curl -s -m 5 http://10.0.0.2/ || bad 'no HTTP'
[ "$(curl -s -m 20 http://10.0.0.2/)" = from-guest ] || bad 'wrong page'
# Not at once: Linux first asks whether somebody else has the address.
wait-for 60 ping -6 -c 1 -W 1 fe80::216:3eff:fe00:10%xenbr0 >/dev/null || bad 'no IPv6'
ethtool -k vif1.0 >/dev/null || bad 'no vif1.0'
guest-log linux | grep -q guest-is-ready || bad 'guest-log lacks its output'
xl destroy linux
wait-for 10 xl-gone linux || bad 'still there after xl destroy'
