# shellcheck shell=bash
# The site from two disks: what is answered must be what the pack in the image answers, head for head and byte for byte.

# Asks URL for every page in FOLDER; OUT gets their bodies, and heads without the date.
fetch_pages() { # FOLDER OUT
    mkdir "$2"
    sed "s#@URL@#$URL#; s/^output = \"\(.*\)\"/&\ndump-header = \"\1.head\"/" "$1/requests" >"$2.requests"
    (cd "$2" && curl -K "../$2.requests" >answers 2>errors)
    sed -i '/^[Dd]ate: /d' "$2"/*.head
    sed -i "s#$URL#@URL@#" "$2/answers"
}

as_crunch() { # WHAT FOLDER CRUNCH
    fetch_pages "$2" fetched
    expect "$1: heads and bytes of $(wc -l <"$2/answers") answers are those of crunch" '' "$(diff -rq "$3" fetched | head -n 10)"
    rm -r fetched
}

start
fetch_pages site crunch-site
check 'crunch has bodies to compare with' test -s crunch-site/1
expect 'heads and bytes are those of the Unix program' '' "$(diff -rq unix-site crunch-site | head -n 10)"
start 'kernel="corpus.xen"'
fetch_pages corpus crunch-corpus

# As people get it: files, which xl gives to blkback by loop devices.
start_fat
as_crunch 'www-fat.xl' site crunch-site
says 'the log says what was agreed with blkback' 'vbd/51712 xvda: .* 256 segments, persistent'
domid=$(xl domid "$NAME")
rebooted() { [ "$(xl domid "$NAME")" != "$domid" ] && serves && curl -fsS -m 10 -o /dev/null "$URL/"; }
xl reboot "$NAME" >/dev/null
check 'xl reboot: another domain serves from the disks' wait_for 120 rebooted
well 'www-fat.xl'

losetup -r /dev/loop40 corpus-files.img
losetup -r /dev/loop41 corpus-pages.img
start_fat 'disk=["phy:/dev/loop40,xvda,r", "phy:/dev/loop41,xvdb,r"]'
as_crunch "$(cat corpus.name), sectors of 512 bytes" corpus crunch-corpus
losetup -r --sector-size 4096 /dev/loop42 corpus-files.img
losetup -r --sector-size 4096 /dev/loop43 corpus-pages.img
start_fat 'memory=12' 'disk=["phy:/dev/loop42,xvdc,r", "phy:/dev/loop43,xvdd,r"]' 'extra="--kv_ro=fat --files=xvdc --pages=/dev/xvdd --cache=512K"'
as_crunch "$(cat corpus.name), sectors of 4096 bytes, another two disks, a domain of 12 MiB" corpus crunch-corpus
says 'the log says that sectors have 4096 bytes' 'sectors of 4096 bytes'
# blkback looks at the size when it is next asked for something, and there is little in so small a cache.
dd if=/dev/zero bs=4096 count=256 status=none >>corpus-pages.img
losetup -c /dev/loop43
as_crunch "$(cat corpus.name), a disk that grew" corpus crunch-corpus
says 'the log says that it grew' 'vbd/51760: [0-9]* sectors of 512 bytes now'
well 'sectors of 4096 bytes'

qdisk='access=rw,backendtype=qdisk,format=raw'
start_fat "disk=[\"$qdisk,vdev=xvda,target=corpus-files.img\", \"$qdisk,vdev=xvdb,target=corpus-pages.img\"]"
as_crunch "$(cat corpus.name), qdisk" corpus crunch-corpus
says 'qdisk takes 11 segments' 'vbd/51712 xvda: .* 11 segments'
well 'qdisk'
stop
losetup -d /dev/loop40 /dev/loop41 /dev/loop42 /dev/loop43
rm -r crunch-site crunch-corpus
