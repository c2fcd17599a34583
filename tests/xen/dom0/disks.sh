# shellcheck shell=bash
# Disks that come and go, fail, hold garbage or are not there.

readonly FILES='format=raw,vdev=xvda,access=ro,target=files.img'
status() { curl -s -o /dev/null -m 20 -w '%{http_code}' "$URL$1"; }
is() { [ "$(status "$1")" = "$2" ]; }

# A static file, and a page.
readonly STATIC=/style.css PAGE=/

start_fat
check 'a static file and a page' test "$(status "$STATIC") $(status "$PAGE")" = '200 200'

# Requests all the time: the code of each.
load() {
    while [ -e loading ]; do
        status "$1"
        echo
    done
}
touch loading
load "$STATIC" >codes-static &
load "$PAGE" >codes-page &
wait_for 20 grep -q 200 codes-static
for ((i = 1; i <= 2; i++)); do
    xl block-detach "$NAME" xvda
    check "detached under load ($i): 503 for what is on the disk" wait_for 20 is "$STATIC" 503
    expect "detached under load ($i): the rest is served" 200 "$(status "$PAGE")"
    xl block-attach "$NAME" "$FILES"
    check "attached under load ($i): served again" wait_for 30 is "$STATIC" 200
done
rm loading
wait
expect 'nothing but 200 and 503 came for what is on the disk' '' "$(grep -vx '200\|503' codes-static | head -n 3)"
expect 'nothing but 200 for what is on the other' '' "$(grep -vx 200 codes-page | head -n 3)"
echo "  ($(wc -l <codes-static) and $(wc -l <codes-page) requests meanwhile)"
# A disk takes a MiB and more. Connections, which take some KiB, come and go.
free=$(console | sed -n 's/.* files: on xvda, .* us; \([0-9]*\) KiB free/\1/p' | tail -n +2 | tr '\n' ' ')
check "free memory is the same after each time (${free}KiB)" awk -v free="$free" \
    'BEGIN { n = split(free, f, " "); d = f[1] - f[2]; exit !(n == 2 && d < 128 && d > -128) }'
says 'the log says that the disk went' 'warn .* files: xvda is gone'
expect 'blkback has let go of all' '' "$(losetup -a | grep deleted)"
well 'detach and attach'

# Another disk in its place, without a manifest.
xl block-detach "$NAME" xvda
wait_for 20 is "$STATIC" 503
xl block-attach "$NAME" 'format=raw,vdev=xvda,access=ro,target=other.img'
check 'another disk in its place' wait_for 30 is /other.txt 200
expect 'its content' "$(cat other.txt)" "$(curl -s -m 20 "$URL/other.txt")"
expect 'what was on the one before is not there' 404 "$(status "$STATIC")"

check_shutdown 'xl shutdown with disks'
says 'nothing is left with the backend' 'ran for'
expect 'no page is still mapped' '' "$(console | grep 'still mapped')"

# A disk that cannot be read where the second of three files is.
read -r first sectors size <broken-range
losetup -r /dev/loop40 broken.img
whole="0 $size linear /dev/loop40 0"
dmsetup create broken <<END
0 $first linear /dev/loop40 0
$first $sectors error
$((first + sectors)) $((size - first - sectors)) linear /dev/loop40 $((first + sectors))
END
start_fat 'disk=["phy:/dev/mapper/broken,xvda,r", "format=raw,vdev=xvdb,access=ro,target=pages.img"]'
expect 'a disk with errors: what is whole' '200 200 200' "$(status /1.bin) $(status /3.bin) $(status "$PAGE")"
begun=$(now)
for ((i = 0; i < 20; i++)); do status /2.bin; echo; done >codes-broken
took=$((($(now) - begun) / 100))
expect 'a disk with errors: 500 for what is not' 500 "$(sort -u codes-broken)"
lines=$(console | grep -c 'error fat: files: ')
check "20 such answers in $took s: $lines lines in the log" test "$lines" -ge 1 -a "$lines" -le $((took + 2))
well 'errors'
# A disk that says nothing at all: who asks is told after half a minute, and is not left to wait for ever.
echo "$whole" | dmsetup reload broken && dmsetup suspend broken
curl -s -m 90 -o /dev/null -w '%{http_code}' "$URL/2.bin" >code-silent &
expect 'a silent disk: the rest is served' '200 200' "$(status /1.bin) $(status "$PAGE")"
wait $!
expect 'a silent disk: 500 for what is not at hand' 500 "$(cat code-silent)"
dmsetup resume broken
check 'mended: served at once' wait_for 5 is /2.bin 200
stop
dmsetup remove broken
losetup -d /dev/loop40

# Garbage, half an image, and no disk.
# More cache than there is memory leaves some for connections all the same.
start_fat 'disk=["format=raw,vdev=xvda,access=ro,target=garbage.img", "format=raw,vdev=xvdb,access=ro,target=pages.img"]' \
    'extra="--kv_ro=fat --cache=1G"'
says 'garbage: the log says so' 'error fat: files: no FAT volume'
expect 'garbage: 503, and the rest is served' '503 200' "$(status "$STATIC") $(status "$PAGE")"
well 'garbage'
start_fat 'disk=["format=raw,vdev=xvda,access=ro,target=half.img", "format=raw,vdev=xvdb,access=ro,target=pages.img"]'
says 'half an image: the log says so' 'fat: files: .*volume has .* bytes, '
expect 'half an image: the rest is served' 200 "$(status "$PAGE")"
check 'half an image: what is lost is not served as if it was whole' test "$(status /1.bin) $(status /2.bin) $(status /3.bin)" != '200 200 200'
well 'half an image'
start_fat 'disk=["format=raw,vdev=xvdb,access=ro,target=pages.img"]'
says 'no disk: the log says so' 'error .* files: xvda: there is no such disk'
expect 'no disk: 503, and the rest is served' '503 200' "$(status "$STATIC") $(status "$PAGE")"
xl block-attach "$NAME" "$FILES"
check 'attached later: served' wait_for 30 is "$STATIC" 200
well 'attached later'
