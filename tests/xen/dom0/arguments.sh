# shellcheck shell=bash
# What the guest is told on its command line, and images that are not as they should be.

# Ends by itself, with poweroff, and has said this.
check_refusal() { # WHAT TEXT [KEY=VALUE]...
    local what=$1 text=$2
    shift 2
    stop
    create 'vif=[]' "$@"
    check "$what: it ends" wait_for 60 gone
    says "$what: it says why" "$text"
    expect "$what: how" poweroff "$(reason)"
}

check_refusal 'a wrong argument' "unknown argument '--http-prot': did you mean --http-port" 'extra="--http-prot=81"'
check_refusal 'nonsense' "unknown argument '--nonsense'" 'extra="--nonsense"'
check_refusal 'a wrong value' "--ipv4 takes an address such as 10.0.0.2/24, not 'here'" 'extra="--ipv4=here"'
check_refusal '--help' '--http-port=PORT' 'extra="--help"'
for argument in ipv4=ADDRESS/PREFIX dhcp ipv6=ADDRESS/PREFIX kv_ro=KIND access-log=yes.no; do
    says "--help has --$argument" " --$argument "
done
check_refusal 'an argument of Unix' '--tap has no effect on this platform' 'extra="--tap=tap0"'
check_refusal 'two that do not go together' '--dhcp' 'extra="--dhcp --ipv4=10.0.0.7/24"'
check_refusal 'a quote that is not closed' 'a quote on the command line is not closed' "extra=\"--logs='info\""
check_refusal 'what xl makes of root=' "unknown argument 'root'" 'root="/dev/xvda1"' 'extra="--logs=info"'
# xl's quotes, then the guest's own; what is within is one word, with its blank and its backslash.
check_refusal 'quotes within quotes' "unknown argument 'a b'" "extra=\"'a b'\""
check_refusal "quotes that xl's escape" "unknown argument 'a b'" 'extra="\"a b\""'
check_refusal 'a backslash twice' "unknown argument 'a b'" 'extra="a\\ b"'
check_refusal 'the other quotes' "unknown argument 'a b'" "extra='\"a b\"'"
check_refusal 'letters beyond ASCII' "unknown argument '--höst'" 'extra="--höst=ü"'
check_refusal 'all of a line that is too long' 'the command line is too long: Xen has room for 1022 bytes' \
    "extra=\"--logs=$(printf '%1016s' '' | tr ' ' a)\""
check_refusal 'a long line' "mir-www: --logs: " "extra=\"--logs=$(printf '%1015s' '' | tr ' ' a)\""
check_refusal 'no site' 'there is no site in this image' 'kernel="base.xen"'
check_refusal 'an altered pack' 'the site in this image cannot be used: ' 'kernel="altered.xen"'
check_refusal 'a truncated pack' 'the site in this image cannot be used: ' 'kernel="truncated.xen"'

stop
create 'kernel="lost-words.xen"'
check 'built-in arguments that are not there' wait_for 60 console_has 'the note says that'

stop
create 'kernel="words.xen"'
check 'built-in arguments hold' wait_for 60 curl -fsS -m 5 -o /dev/null http://10.0.0.8:8082/
stop
create 'kernel="words.xen"' 'extra="--http-port=8083"'
check 'arguments that are given take their place' wait_for 60 curl -fsS -m 5 -o /dev/null http://10.0.0.8:8083/
check_refusal '--help' 'Built in: --ipv4=10.0.0.8/24 --http-port=8082' 'kernel="words.xen"' 'extra="--help"'

stop
create 'extra="--http-port=8081 --ipv4=10.0.0.7/24 --logs=debug"'
check 'another address and port' wait_for 60 curl -fsS -m 5 -o /dev/null http://10.0.0.7:8081/
expect 'the usual ones are closed' 7 "$(curl -s -m 5 -o /dev/null http://10.0.0.7:80/; echo $?)"
says '--logs=debug' ' debug '
well 'arguments'
