# shellcheck shell=bash
# What the checks in dom0 stand on.

# shellcheck disable=SC2034 # for those who read this file
readonly IN=/root/in NAME=mir-www ADDRESS=10.0.0.2 URL=http://10.0.0.2
readonly CONSOLE=/var/log/xen/console/guest-$NAME.log

ok() { echo "  ok: $*"; }

failed() { echo "  FAILED: $*"; }

expect() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        failed "$1"
        printf '    expected: %s\n    actual:   %s\n' "$2" "$3"
    fi
}

# WHAT COMMAND...
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then
        ok "$what"
    else
        failed "$what"
        printf '%s\n' "$out" | tail -n 10 | sed 's/^/    /'
    fi
}

# Seconds since boot with two digits, without a process.
now() { read -r up _ </proc/uptime; echo "${up/./}"; }

seconds_since() { # HUNDREDTHS
    local passed=$(($(now) - $1))
    printf '%d.%02d' $((passed / 100)) $((passed % 100))
}

# As the rig's wait-for, for functions.
wait_for() { # SECONDS COMMAND...
    local end=$(($(now) + $1 * 100))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(now)" -lt "$end" ] || return 1
        sleep "${PAUSE:-0.1}"
    done
}

gone() { ! xl domid "$NAME" >/dev/null 2>&1; }

serves() { curl -fsS -m 10 -o /dev/null "$URL/healthz"; }

# An answer at once. The service's part of that is a second at most; the rest is for an emulated machine on a busy host.
serves_at_once() { curl -fsS -m 8 -o /dev/null "$URL/healthz"; }

# Creates the guest, with lines of a configuration that go before those of www.xl. A crash is kept to be looked at.
create() { # [KEY=VALUE]...
    create_from www.xl "$@"
}

create_from() { # CONFIGURATION [KEY=VALUE]...
    local configuration=$1
    shift
    console_from=$(stat -c %s "$CONSOLE" 2>/dev/null || echo 0)
    xl create -q "$configuration" 'on_crash="preserve"' "$@"
}

# The same, and it serves.
start() { # [KEY=VALUE]...
    stop
    create "$@" && wait_for 60 serves && return
    failed "start: the guest does not serve with: $*"
    show
    return 1
}

# The guest with its site on disks; each of them was mounted or cannot be.
start_fat() { # [KEY=VALUE]...
    stop
    create_from www-fat.xl "$@" && wait_for 90 console_has ' ready ' && serves && return
    failed "start_fat: the guest does not serve with: $*"
    show
    return 1
}

stop() {
    gone || xl destroy "$NAME" 2>/dev/null
    wait_for 60 gone
}

console_from=0

# What the guest wrote on its console since create.
console() { tail -c "+$((console_from + 1))" "$CONSOLE" | tr -d '\r'; }

console_has() { console | grep -qF -- "$1"; } # TEXT

# The console has this, perhaps over several lines.
says() { # WHAT PATTERN
    if console | tr '\n' ' ' | grep -qE -- "$2"; then
        ok "$1"
    else
        failed "$1"
        show
    fi
}

# How the last guest ended, as the toolstack saw it.
reason() {
    case $(grep -o 'reason code [0-9]*' "/var/log/xen/xl-$NAME.log" | tail -n 1) in
    *' 0') echo poweroff ;;
    *' 1') echo reboot ;;
    *' 3') echo crash ;;
    *) echo unknown ;;
    esac
}

show() {
    console | tail -n 40 | sed 's/^/    | /'
    xl list | sed 's/^/    | /'
}

# Neither has it crashed nor said that it is about to.
well() { # WHAT
    local state
    state=$(xl list "$NAME" 2>/dev/null | awk 'NR == 2 { print $5 }')
    if [[ $state != *[rb-]* || $state == *[sc]* ]] || console_has '***'; then
        failed "$1: the guest is well (state $state)"
        show
    else
        ok "$1: the guest is well"
    fi
}

# Hundredths of a second of processor time that the guest has used.
cpu_time() { xl list "$NAME" | awk 'NR == 2 { printf "%d\n", $6 * 100 + 0.5 }'; }

# The interface in dom0 that leads to the guest.
vif() { echo "vif$(xl domid "$NAME").0"; }

# It has ended within 3 s of the request, with code 0. That is when Xen says so: what xl does afterwards, on an emulated
# machine that may be busy, is not the guest's time.
check_shutdown() { # WHAT
    local events watcher asked took
    events=$(mktemp)
    # the first event is the watch itself
    xenstore-watch -n 2 @releaseDomain >"$events" &
    watcher=$!
    wait_for 20 grep -q . "$events"
    xl shutdown "$NAME" >/dev/null 2>&1
    asked=$(now)
    wait_for 60 ended_process "$watcher"
    took=$(seconds_since "$asked")
    check "$1 ends in under 3 s ($took)" awk -v t="$took" 'BEGIN { exit !(t < 3) }'
    check "$1: xl sees it go" wait_for 60 gone
    echo "  (after $(seconds_since "$asked") s)"
    expect "$1: how" poweroff "$(reason)"
    kill "$watcher" 2>/dev/null
    rm "$events"
}

ended_process() { ! kill -0 "$1" 2>/dev/null; }
