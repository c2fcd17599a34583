# Runs in dom0: makes linux.cpio, the initramfs of a guest from dom0's own kernel that reads its first disk, over and over.
root=/tmp/linux
mkdir -p $root/bin $root/lib64 $root/lib $root/proc $root/sys $root/dev
cp /bin/busybox /bin/dd $root/bin/
cp -L /lib64/ld-linux-x86-64.so.2 $root/lib64/
for program in /bin/busybox /bin/dd; do
    LD_TRACE_LOADED_OBJECTS=1 $program
done | sed -n 's/.* => \([^ ]*\) .*/\1/p' | sort -u | while read -r library; do
    cp -L "$library" $root/lib/
done
cp "$(modinfo -n xen-blkfront)" $root/blkfront.ko
cat >$root/init <<'INIT'
#!/bin/busybox sh
for applet in sh mount insmod sleep cat; do busybox ln -s busybox /bin/$applet; done
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
insmod /blkfront.ko
until [ -b /dev/xvda ]; do sleep 0.1; done
read_all() { dd if=/dev/xvda of=/dev/null bs=1M iflag=direct 2>&1; }
# Its pool of grants is made by the first reads.
read_all >/dev/null
sleep 1
echo begin
sleep 1
n=0
while [ $n -lt "$passes" ]; do
    read_all
    n=$((n + 1))
done
sleep 1
echo end
while :; do sleep 3600; done
INIT
chmod +x $root/init
(cd $root && find . | cpio -o -H newc 2>/dev/null) >linux.cpio
