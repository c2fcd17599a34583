# Runs in dom0 with --forward: see tests/rig/run.
ip link add veth0 type veth peer name veth1
ip netns add client
ip link set veth0 master xenbr0 up
ip link set veth1 netns client
ip -n client link set veth1 up

lease() {
    ip netns exec client udhcpc -i veth1 -n -q -t 3 -T 1 -s /bin/true 2>&1 |
        sed -n 's/.*lease of \(10\.0\.0\.1\)[0-9][0-9] .*/\1xx/p' | grep . || echo none
}
printf 'dhcp: off %s, ' "$(lease)"
dhcp-on
printf 'on %s, ' "$(lease)"
dhcp-off
printf 'off %s\n' "$(lease)"

mkdir /www
echo from-dom0 >/www/index.html
busybox httpd -h /www -p 80
