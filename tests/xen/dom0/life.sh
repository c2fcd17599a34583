# shellcheck shell=bash
# xl's verbs.

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
