# shellcheck shell=bash
# Where the guest's addresses come from: arguments, the toolstack, DHCP servers, routers; and hosts that have them already.
# Each part has a bridge and guests of its own, and all run at the same time: most of what they do is wait for leases.

# A bridge of dom0's.
lan() { # BRIDGE ADDRESS/PREFIX...
    local bridge=$1 address
    shift
    ip link add "$bridge" type bridge forward_delay 0
    # shellcheck disable=SC2046 # nothing for IPv4
    for address; do ip addr add "$address" dev "$bridge" $([ "$address" = "${address#*:}" ] || echo nodad); done
    ip link set "$bridge" up
}

# One after the other, since xl gives a hotplug script ten seconds, and again if that was too short. -o, since xl stays to
# see the domain end.
guest() { # NAME VIF [ARGUMENTS]
    local _
    for _ in 1 2 3; do
        flock -o create.lock xl create -q www.xl "name=\"$1\"" "vif=['$2']" "extra=\"${3-}\"" 'on_crash="preserve"' && return
    done 2>"$1.create"
    cat "$1.create"
}

# The end of a part's guests and of their bridge.
bye() { # BRIDGE NAME...
    local bridge=$1 name
    shift
    for name; do xl destroy "$name"; done
    ip link del "$bridge"
}

log_of() { echo "/var/log/xen/console/guest-$1.log"; } # NAME

has_said() { grep -qE -- "$2" "$(log_of "$1")"; } # NAME PATTERN

# How often.
said() { grep -cE -- "$2" "$(log_of "$1")"; } # NAME PATTERN

said_times() { [ "$(said "$1" "$2")" -ge "$3" ]; } # NAME PATTERN TIMES

# Within some seconds its console has this.
check_said() { # WHAT NAME SECONDS PATTERN
    if wait_for "$3" has_said "$2" "$4"; then
        ok "$1"
    else
        failed "$1"
        tail -n 20 "$(log_of "$2")" | tr -d '\r' | sed 's/^/    | /'
    fi
}

gets() { curl -gfsS -m 5 -o /dev/null "http://$1/healthz"; } # ADDRESS

check_serves() { # WHAT ADDRESS
    check "$1" wait_for 60 gets "$2"
}

# The address that it was lent last.
lent() { sed -n 's/.*DHCP: lent \([0-9.]*\).*/\1/p' "$(log_of "$1")" | tail -n 1; } # NAME

# Starts busybox's DHCP server, in a network namespace if one is named; its process id is in NAME.pid.
udhcpd_on() { # NAME BRIDGE FIRST LAST SECONDS [NAMESPACE]
    : >"$1.leases"
    printf '%s\n' "interface $2" "start $3" "end $4" "max_leases 10" "min_lease 4" "lease_file $PWD/$1.leases" \
        "pidfile $PWD/$1.pid" "option subnet 255.255.255.0" "option lease $5" >"$1.conf"
    ${6:+ip netns exec "$6"} udhcpd -f -a 100 "$1.conf" >"$1.log" 2>&1 &
    wait_for 20 test -s "$1.pid"
}

dnsmasq_on() { # NAME BRIDGE FIRST LAST
    : >"$1.leases"
    # Leases are of two minutes at least, but when they are to be renewed is free.
    dnsmasq --conf-file=/dev/null --user=root --port=0 --interface="$2" --bind-interfaces --no-ping \
        --dhcp-range="$3,$4,255.255.255.0,120" --dhcp-option=option:T1,8 --dhcp-authoritative \
        --dhcp-leasefile="$PWD/$1.leases" --pid-file="$PWD/$1.pid" --log-facility="$PWD/$1.log"
    wait_for 20 test -s "$1.pid"
}

off() { # NAME
    local pid
    pid=$(cat "$1.pid") && kill "$pid" && wait_for 20 ended_process "$pid"
    rm -f "$1.pid"
}

# A lease of 30 s, renewed while clients are served; its server goes away, and comes back.
part_lease() {
    local address loads kind
    lan lease0 10.1.0.1/24
    udhcpd_on lease lease0 10.1.0.100 10.1.0.109 30
    guest lease bridge=lease0 --dhcp
    check_said 'DHCP: an address from udhcpd' lease 60 'DHCP: lent 10\.1\.0\.10[0-9]/24 from 10\.1\.0\.1, for 30 s'
    address=$(lent lease)
    check_serves 'DHCP: it serves there' "$address"
    # A connection each, and one for all.
    load "$address" each -H 'Connection: close' &
    loads=$!
    load "$address" kept &
    loads+=" $!"
    check 'DHCP: renewed three times' wait_for 100 said_times lease "DHCP: renewed $address/24" 3
    touch load.over
    # shellcheck disable=SC2086
    wait $loads
    for kind in each kept; do
        check "DHCP: many requests meanwhile, $kind ($(wc -l <"load.$kind"))" test "$(wc -l <"load.$kind")" -gt 30
    done
    expect 'DHCP: none failed, with a connection each' '200 1' "$(sort -u load.each | paste -sd,)"
    expect 'DHCP: none failed, and one connection lived through it' '200 0,200 1' "$(sort -u load.kept | paste -sd,)"
    expect 'DHCP: which was opened once' 1 "$(grep -c ' 1' load.kept)"

    off lease
    check_said 'DHCP: the server goes away: the lease ends' lease 60 "the lease of $address/24 has ended"
    check 'DHCP: and the address' wait_for 20 not_there "$address"
    udhcpd_on lease lease0 10.1.0.100 10.1.0.109 30
    check 'DHCP: the server comes back, and an address' wait_for 60 said_times lease 'DHCP: lent' 2
    check_serves 'DHCP: it serves again' "$(lent lease)"
    off lease
    bye lease0 lease
}

# Requests without an end, until load.over is there: a line in load.KIND for each, with its status and how often it had
# to connect, and what went wrong.
load() { # ADDRESS KIND [OPTION]...
    local address=$1 kind=$2 client
    shift 2
    curl -sS --rate 5/s -o /dev/null -w '%{stderr}%{http_code} %{num_connects}\n' "$@" \
        "http://$address/healthz?[1-100000]" 2>"load.$kind" &
    client=$!
    wait_for 200 test -e load.over
    kill "$client"
}

not_there() { ! ping -c 1 -W 1 "$1"; } # ADDRESS

# A server that wants its address back, and has another.
part_nak() {
    lan nak0 10.2.0.1/24
    dnsmasq_on nak nak0 10.2.0.50 10.2.0.59
    guest nak bridge=nak0 --dhcp
    check_said 'NAK: an address from dnsmasq' nak 60 'DHCP: lent 10\.2\.0\.5[0-9]/24 from 10\.2\.0\.1, for 120 s'
    check_serves 'NAK: it serves there' "$(lent nak)"
    check 'NAK: the server knows the domain by its name' grep -q ' nak ' nak.leases
    off nak
    dnsmasq_on nak nak0 10.2.0.150 10.2.0.159
    check_said 'NAK: the address is taken back' nak 60 'the server takes 10\.2\.0\.5[0-9]/24 back'
    check_said 'NAK: another one' nak 60 'DHCP: lent 10\.2\.0\.15[0-9]/24 from 10\.2\.0\.1'
    check_serves 'NAK: it serves there' "$(lent nak)"
    off nak
    bye nak0 nak
}

# Two servers at once; the one whose address was taken goes away.
part_two() {
    local first other
    lan two0 10.3.0.1/24
    ip netns add two
    ip link add two-a type veth peer name two-b
    ip link set two-a master two0 up
    ip link set two-b netns two
    ip -n two addr add 10.3.0.2/24 dev two-b
    ip -n two link set two-b up
    udhcpd_on two-1 two0 10.3.0.10 10.3.0.19 10
    udhcpd_on two-2 two-b 10.3.0.20 10.3.0.29 10 two
    guest two bridge=two0 --dhcp
    check_said 'two servers: an address from one of them' two 60 'DHCP: lent 10\.3\.0\.[12][0-9]/24 from 10\.3\.0\.[12], for 10 s'
    check_serves 'two servers: it serves there' "$(lent two)"
    first=$(sed -n 's/.*DHCP: lent .* from 10\.3\.0\.\([12]\),.*/\1/p' "$(log_of two)")
    other=$((3 - ${first:-1}))
    check_said 'two servers: the same one renews it' two 30 "DHCP: renewed 10\.3\.0\.${first}[0-9]/24 from 10\.3\.0\.$first,"
    expect 'two servers: one address' 1 "$(said two 'DHCP: lent')"
    off "two-$first"
    check_said 'two servers: it goes away, and the other takes over' two 60 "DHCP: lent 10\.3\.0\.${other}[0-9]/24 from 10\.3\.0\.$other,"
    check_serves 'two servers: it serves there' "$(lent two)"
    off "two-$other"
    bye two0 two
    ip netns del two
}

# What the toolstack says, and arguments that say otherwise.
part_vif() {
    lan vif0 10.4.0.1/24 fd00:4::1/64
    guest vif-ip 'bridge=vif0,ip=10.4.0.7 fd00:4::7/64'
    guest vif-beaten 'bridge=vif0,ip=10.4.0.9' --ipv4=10.4.0.10/24
    guest vif-garbage 'bridge=xenbr0,ip=anything'
    check_serves "the vif's ip" 10.4.0.7
    check_said "the vif's ip: the log says so" vif-ip 1 "http://10\.4\.0\.7:80/, 10\.4\.0\.7/32, from the vif's ip"
    check_serves "the vif's ip: IPv6" '[fd00:4::7]'
    check_said "the vif's ip: IPv6: the log says so" vif-ip 1 "fd00:4::7/64, from the vif's ip"
    check_serves "--ipv4 beats the vif's ip" 10.4.0.10
    check_said "--ipv4 beats the vif's ip: the log says so" vif-beaten 1 'http://10\.4\.0\.10:80/, 10\.4\.0\.10/24, from --ipv4'
    check 'and only that is there' not_there 10.4.0.9
    check_serves 'no address: the default' 10.0.0.2
    check_said 'no address: the log says so' vif-garbage 1 'ip="anything" of the vif is not a list of addresses'
    expect 'no address: once' 1 "$(said vif-garbage anything)"
    bye vif0 vif-ip vif-beaten vif-garbage
}

# Routers, and hosts that have an address already.
part_ipv6() {
    local mac address
    lan six0 10.6.0.1/24 fd00:6::1/64 fd00:6::5/64
    echo 1 >/proc/sys/net/ipv6/conf/six0/forwarding
    printf '%s\n' 'interface six0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;' \
        'prefix fd00:6::/64 { AdvValidLifetime 20; AdvPreferredLifetime 10; }; };' >radvd.conf
    radvd -C radvd.conf -p "$PWD/radvd.pid" -m logfile -l "$PWD/radvd.log"
    wait_for 20 test -s radvd.pid
    guest six bridge=six0 --ipv4=10.6.0.2/24
    guest six-taken bridge=six0 '--ipv4=10.6.0.5/24 --ipv6=fd00:6::5/64'
    check_said 'a taken IPv6 address is not used' six-taken 60 'fd00:6::5/64; not used'
    guest six-alone bridge=six0 '--ipv4=10.6.0.5/24 --ipv6=link-local'
    check_said 'a taken IPv4 address: both hosts have it, and the log says so' six-taken 60 \
        '10\.6\.0\.5 is ours, and 00:16:3e:[0-9a-f:]* claims it'
    mac=$(xl network-list six | awk 'NR == 2 { print $3 }')
    address=$(eui64 fd00:6:: "$mac")
    check_said 'SLAAC: an address' six 60 "IPv6: $address/64 from router fe80::"
    check_said 'SLAAC: in use' six 20 "http://\[$address\]:80/"
    check_serves 'SLAAC: it serves there' "[$address]"
    expect 'each once' 1 "$(said six-taken 'not used')"
    check_said '--ipv6=link-local' six-alone 30 ' ready '
    off radvd
    check_said 'SLAAC: no router any more' six 60 "no router advertises $address/64 any more"
    check 'SLAAC: and the address is gone' wait_for 20 not_there "$address"
    expect '--ipv6=link-local: no other' 0 "$(said six-alone 'fd00:6')"
    bye six0 six six-taken six-alone
}

# Without zeros at the beginning of a group, as addresses are written.
eui64() { # PREFIX MAC
    local a b c d e f
    IFS=: read -r a b c d e f <<<"$2"
    printf '%s%x:%x:%x:%x\n' "$1" $((0x$a << 8 ^ 0x200 | 0x$b)) $((0x$c << 8 | 0xff)) $((0xfe00 | 0x$d)) $((0x$e << 8 | 0x$f))
}

# shellcheck disable=SC2034 # wait_for reads PAUSE
addresses() {
    local part parts='lease nak two vif ipv6' pids='' PAUSE=0.5
    for part in $parts; do
        "part_$part" >"part-$part.out" 2>&1 &
        pids+=" $!"
    done
    # shellcheck disable=SC2086
    wait $pids
    for part in $parts; do cat "part-$part.out"; done
}

stop
addresses
