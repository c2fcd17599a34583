# shellcheck shell=bash
# xl's verbs.

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

start
check_shutdown 'xl shutdown'

start 'kernel="life.xen"' 'memory=64'
curl -s -m 60 --limit-rate 100k -o /dev/null "$URL/16m.bin" &
client=$!
wait_for 10 grep -q ESTAB <(ss -tn dst "$ADDRESS")
check_shutdown 'xl shutdown while somebody downloads'
kill "$client" 2>/dev/null
wait "$client"

start
domid=$(xl domid "$NAME")
another() { [ "$(xl domid "$NAME")" != "$domid" ] && serves; }
xl reboot "$NAME" >/dev/null
check 'xl reboot: another domain serves' wait_for 120 another

xl pause "$NAME"
expect 'paused: no answer' 28 "$(curl -s -m 1 -o /dev/null "$URL/healthz"; echo $?)"
xl unpause "$NAME"
check 'unpaused: it serves' wait_for 10 serves
well 'pause'

domid=$(xl domid "$NAME")
check 'xl network-detach' xl network-detach "$NAME" 0
detached() { console_has 'the backend closes the device' || ! [ -e "/sys/class/net/vif$domid.0" ]; }
check 'the interface goes' wait_for 20 detached
well 'xl network-detach'
check_shutdown 'xl shutdown without an interface'

good=0
begun=$(now)
for ((i = 0; i < 20; i++)); do
    create && wait_for 60 serves && good=$((good + 1))
    xl destroy "$NAME"
done
expect '20 times xl create and xl destroy: it served' 20 "$good"
echo "  (in $(seconds_since "$begun") s)"
