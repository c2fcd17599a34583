# Runs in dom0: a Linux guest from dom0's own kernel and busybox, to see that xl and
# the scripts for a vif and a vbd work.
bad() { echo "bad: guest: $*"; }

root=/tmp/guest
mkdir -p $root/bin $root/lib64 $root/lib $root/proc $root/sys $root/dev $root/www
cp /bin/busybox $root/bin/
cp -L /lib64/ld-linux-x86-64.so.2 $root/lib64/
LD_TRACE_LOADED_OBJECTS=1 /bin/busybox | sed -n 's/.* => \([^ ]*\) .*/\1/p' | while read -r library; do
    cp -L "$library" $root/lib/
done
cp "$(modinfo -n xen-netfront)" $root/netfront.ko
cp "$(modinfo -n xen-blkfront)" $root/blkfront.ko
echo from-guest >$root/www/index.html
cat >$root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
insmod /netfront.ko
insmod /blkfront.ko
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
ip addr add 10.0.0.2/24 dev eth0
ip link set eth0 up
httpd -p 80 -h /www
for disk in xvda xvdb xvdc xvdd; do
    until [ -b /dev/$disk ]; do sleep 0.1; done
    echo "disk $disk $(cat /sys/block/$disk/queue/logical_block_size) $(sha256sum </dev/$disk)"
done
echo guest-is-ready
while :; do sleep 1; done
INIT
chmod +x $root/init
(cd $root && find . | cpio -o -H newc 2>/dev/null) >/root/guest.cpio
# A disk with each kind of backend, the same bytes on all of them.
for disk in a b c d; do dd if=/root/folder/inner of=/root/$disk.img bs=4096 count=64 status=none; done
losetup -r /dev/loop5 /root/a.img
losetup -r --sector-size 4096 /dev/loop6 /root/b.img
cat >/root/guest.xl <<'XL'
name = "linux"
type = "pv"
kernel = "/root/vmlinux"
ramdisk = "/root/guest.cpio"
memory = 160
vif = ["bridge=xenbr0,mac=00:16:3e:00:00:10"]
disk = [
    "phy:/dev/loop5,xvda,r",
    "format=raw,vdev=xvdb,access=ro,target=/dev/loop6",
    "format=raw,vdev=xvdc,access=ro,target=c.img",
    "format=raw,vdev=xvdd,access=rw,backendtype=qdisk,target=d.img",
]
extra = "console=hvc0 quiet cryptomgr.notests"
XL
xl create /root/guest.xl || bad 'xl create'
wait-for 200 ping -c 1 -W 1 10.0.0.2 || bad 'no ping'
wait-for 60 curl -s -m 5 http://10.0.0.2/ || bad 'no HTTP'
[ "$(curl -s -m 20 http://10.0.0.2/)" = from-guest ] || bad 'wrong page'
# Not at once: Linux first asks whether somebody else has the address.
wait-for 60 ping -6 -c 1 -W 1 fe80::216:3eff:fe00:10%xenbr0 >/dev/null || bad 'no IPv6'
ethtool -k vif1.0 >/dev/null || bad 'no vif1.0'
wait-for 60 sh -c 'guest-log linux | grep -q guest-is-ready' || bad 'guest-log lacks its output'
sum=$(sha256sum </root/a.img)
for disk in 'xvda 512' 'xvdb 4096' 'xvdc 512' 'xvdd 512'; do
    guest-log linux | tr -d '\r' | grep -qxF "disk $disk $sum" || bad "the disk $disk: $(guest-log linux | grep '^disk')"
done
backends() { xl block-list linux | sed -n 's/^\([0-9]*\) .*backend\/\([a-z]*\)\/.*/\1 \2/p' | sort | tr '\n' ' '; }
[ "$(backends)" = '51712 vbd 51728 vbd 51744 vbd 51760 qdisk ' ] || bad "backends: $(backends)"
xl block-detach linux xvdc || bad 'xl block-detach'
wait-for 10 sh -c '! losetup -a | grep -q c.img' || bad 'the loop device of xvdc is left'
xl block-attach linux 'format=raw,vdev=xvdc,access=ro,target=c.img' || bad 'xl block-attach'
xl destroy linux
wait-for 10 xl-gone linux || bad 'still there after xl destroy'
wait-for 10 sh -c '! losetup -a | grep -q c.img' || bad 'a loop device is left'
