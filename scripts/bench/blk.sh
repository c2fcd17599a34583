# Runs in dom0: blk.sh PASSES. See scripts/bench-blk.
set -u
passes=$1
losetup -r /dev/loop5 files.img

cpu() { xl list "$1" | awk 'NR == 2 { print $6 }'; }
said() { guest-log "$1" 2>/dev/null | tr -d '\r' | grep -q "^$2"; }

# Linux
sh linux.sh
cat >linux.xl <<END
name = "linux"
type = "pv"
kernel = "/root/bench/vmlinux"
ramdisk = "/root/bench/linux.cpio"
memory = 192
disk = ["phy:/dev/loop5,xvda,r"]
extra = "console=hvc0 quiet cryptomgr.notests passes=$passes"
END
xl create -q linux.xl
wait-for 300 guest-log linux >/dev/null
until said linux begin; do usleep 100000; done
before=$(cpu linux)
until said linux end; do usleep 100000; done
after=$(cpu linux)
xl destroy linux
guest-log linux | tr -d '\r' | awk -v cpu="$(awk "BEGIN { print $after - $before }")" '
    /copied/ { bytes += $1; time += $(NF - 3); n++ }
    END {
        mib = bytes / 1048576
        printf "Linux: %d passes of dd, %d MiB: %.1f MB/s, %.0f instructions of guest CPU a MiB\n", n, mib, bytes / time / 1e6, cpu * 1e9 / mib
        printf "%f %f\n", bytes / time / 1e6, cpu * 1e9 / mib >"linux.result"
    }'

# This
cat >bench.xl <<END
name = "bench"
type = "pv"
kernel = "/root/bench/bench.xen"
memory = 32
on_crash = "preserve"
disk = ["phy:/dev/loop5,xvda,r"]
extra = "$passes"
END
xl create -q bench.xl
until said bench 'bench:' || ! xl domid bench >/dev/null 2>&1; do usleep 100000; done
wait-for 20 xl-gone bench || xl destroy bench
guest-log bench | tr -d '\r' | grep -v '^bench: '
guest-log bench | tr -d '\r' | sed -n 's/^bench: //p' >bench.result
awk '
    NR == FNR { linux_rate = $1; linux_cpu = $2; next }
    {
        rate = $1 / $2; cpu = $3 * 1000 / ($1 / 1048576)
        printf "mir-www: %d MiB in 1 MiB files: %.1f MB/s, %.0f instructions of guest CPU a MiB\n", $1 / 1048576, rate, cpu
        printf "ratio to Linux: %.2f in MB/s, %.2f in guest CPU (more than 1 is better than Linux)\n", rate / linux_rate, linux_cpu / cpu
    }' linux.result bench.result
[ -s bench.result ]
