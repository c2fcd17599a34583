# shellcheck shell=bash
# Images and expectations for the checks in dom0, each made by input_NAME in $WORK/in; and what the host checks by
# itself, host_NAME.

# shellcheck source=tests/xen/dom0/pages.sh
. "$HERE/dom0/pages.sh"

expect() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        echo "  ok: $1"
    else
        printf '  FAILED: %s\n    expected: %s\n    actual:   %s\n' "$1" "$2" "$3"
    fi
}

image() { # NAME SITE
    "$MIR" build -t xen --base "$BASE" --site "$2" --no-cache -o "$WORK/in/$1.xen"
}

# A front page, and a file of random bytes.
site_with() { # FOLDER FILE BYTES
    mkdir -p "$1/content" "$1/static"
    printf '# A file\n\n[Here](/%s).\n' "$2" >"$1/content/index.md"
    head -c "$3" /dev/urandom >"$1/static/$2"
}

input_site() { write_pages "$BASE" "$WORK/in/site"; }

input_hostile() { [ -e "$WORK/in/site" ] || input_site; }

input_file() {
    site_with "$WORK/file" 64m.bin $((64 << 20))
    sha256sum <"$WORK/file/static/64m.bin" >"$WORK/in/file.sum"
    image file "$WORK/file"
}

input_life() {
    site_with "$WORK/life" 16m.bin $((16 << 20))
    image life "$WORK/life"
}

input_small() {
    local i
    for i in 00 01 02 03 04 05; do site_with "$WORK/small" "$i.bin" $((1 << 20)); done
    image small "$WORK/small" && write_pages "$WORK/in/small.xen" "$WORK/in/small"
}

# The image without its pack, and with one that is not as it was written.
input_arguments() {
    local kernel byte at
    kernel=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/kernel/mir-www-xen
    cp "$kernel" "$WORK/in/base.xen"
    cp "$BASE" "$WORK/in/altered.xen"
    # the pack is near the image's end, before some notes; its last bytes are a body's
    at=$(($(stat -c %s "$BASE") - 5000))
    byte=$(od -An -tu1 -j "$at" -N 1 "$BASE")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$WORK/in/altered.xen" bs=1 seek="$at" conv=notrunc status=none
    truncate_pack "$BASE" "$WORK/in/truncated.xen"
    # Arguments that are built in; and the same where the note says that they are beyond all memory.
    site_with "$WORK/words" a 1000
    "$MIR" build --no-file -t xen --base "$BASE" --site "$WORK/words" --no-cache -o "$WORK/in/words.xen" \
        --http-port 8082 --ipv4 10.0.0.8/24 || return
    cp "$WORK/in/words.xen" "$WORK/in/lost-words.xen"
    write_u64 "$WORK/in/lost-words.xen" $(($(note_of "$WORK/in/words.xen") + 36)) $((1 << 40))
}

# Where in an image the note of what is linked to it begins.
note_of() { # IMAGE
    LC_ALL=C grep -obUaP '\x08\0\0\0\x20\0\0\0\x01\x01\0\0mir-www\0' "$1" | head -n 1 | cut -d: -f1
}

write_u64() { # FILE OFFSET NUMBER
    local bytes='' i
    for i in 0 8 16 24 32 40 48 56; do bytes+=$(printf '\\x%02x' $(($3 >> i & 255))); done
    # shellcheck disable=SC2059 # the format is the bytes
    printf "$bytes" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Takes 1000 bytes off the pack by the note's length, as if somebody had cut it and mended the headers.
truncate_pack() { # IMAGE OUT
    local note
    cp "$1" "$2"
    note=$(note_of "$1")
    [ -n "$note" ] || return
    write_u64 "$2" $((note + 28)) $(($(od -An -td8 -j $((note + 28)) -N 8 "$1") - 1000))
}

# What mir writes, for a site in the image and for one on disks; in the folder where dom0 has the files, too.
input_configs() {
    site_with "$WORK/configs" a 1000
    "$MIR" build --no-file -q -t xen --base "$BASE" --site "$WORK/configs" --no-cache --dist "$WORK/crunch" \
        --name crunch --bridge br-x --memory 16 --vif-ip 10.0.0.9 --mac 00:16:3e:00:00:09 --http-port 8084 || return
    "$MIR" build --no-file -q -t xen --base "$BASE" --site "$WORK/configs" --no-cache --dist "$WORK/fat" --name disks --kv_ro fat || return
    "$MIR" xl --check "$WORK/crunch/www.xl" && "$MIR" xl --check "$WORK/fat/www.xl" || return
    cp "$WORK/crunch/www.xl" "$WORK/in/crunch.xl"
    cp "$WORK/fat/www.xl" "$WORK/in/disks.xl"
    # Quoted as mir quotes (mir/src/toolstack/tests.rs has the same words), and the variant that is a comment.
    sed 's/^# extra = .*//' "$WORK/crunch/www.xl" >"$WORK/in/words.xl"
    # shellcheck disable=SC1003
    printf '%s\n' 'extra = "--logs='"'"'net:debug, *:info'"'"' \"\\\"\" #"' >>"$WORK/in/words.xl"
    sed 's/^type = "pv"//; s/^# \(type = "pvh"\|pvshim = 1\)/\1/' "$WORK/crunch/www.xl" >"$WORK/in/shim.xl"
}

input_traps() {
    failing=$(scripts/build-xen --failing) && cp "$failing" "$WORK/in/failing.xen"
}

host_traps() {
    expect 'scripts/symbolize names what failed' 'minios::xen::provoke::Failure::provoke' \
        "$(sed -n 's/^    | //p' "$WORK/out" | scripts/symbolize --kernel "$failing" 2>&1 |
            grep -o 'minios::xen::provoke::Failure::provoke' | head -n 1)"
}

# Pages of a project that has nothing to do with this one, if they lie beside the project; else some that are made here.
input_corpus() {
    local i
    [ ! -e "$WORK/in/corpus" ] || return 0
    corpus_site=../shared/corpus/tokio
    if [ -d "$corpus_site" ]; then
        echo 'the tokio corpus' >"$WORK/in/corpus.name"
    else
        echo "  (../shared/corpus/tokio is not there: a generated site takes its place)" >&2
        echo 'a generated site' >"$WORK/in/corpus.name"
        corpus_site=$WORK/corpus
        mkdir -p "$corpus_site/content/a b"
        for i in {1..40}; do
            printf -- '---\ntitle: Page %s\n---\n\n%s\n' "$i" "$(yes "Some *words* on number $i." | head -n $((i * 20)))" \
                >"$corpus_site/content/a b/pagé $i.md"
        done
    fi
    image corpus "$corpus_site" && write_pages "$WORK/in/corpus.xen" "$WORK/in/corpus" || return
    "$MIR" build -t unix --base "$DIST/mir-www" --site "$corpus_site" --no-cache -o "$WORK/corpus-unix"
}

host_corpus() {
    local tries=0 server url
    : >"$WORK/corpus-url"
    "$WORK/corpus-unix" --ipv4=127.0.0.1 --http-port=0 >"$WORK/corpus-url" 2>"$WORK/corpus-log" &
    server=$!
    until url=$(grep -o 'http://[0-9.:]*' "$WORK/corpus-url") || [ $((tries += 1)) -gt 200 ]; do sleep 0.1; done
    check_pages "$(cat "$WORK/in/corpus.name"), Unix" "$url" "$WORK/in/corpus"
    kill "$server"
    wait "$server"
}

# Heads, without the date, and bodies that the Unix program answers with; where it listens is not in them.
fetch_from_unix() { # PROGRAM FOLDER OUT
    local pid url
    : >"$WORK/unix.out"
    "$1" --http-port=0 --access-log=no >"$WORK/unix.out" 2>"$WORK/unix.log" &
    pid=$!
    until url=$(sed -n 's/^mir-www serves http:..localhost:\([0-9]*\)\/$/http:\/\/127.0.0.1:\1/p' "$WORK/unix.out") && [ -n "$url" ]; do
        kill -0 "$pid" || return
        sleep 0.05
    done
    mkdir "$3"
    sed "s#@URL@#$url#; s/^output = \"\(.*\)\"/&\ndump-header = \"\1.head\"/" "$2/requests" >"$3.requests"
    (cd "$3" && curl -K "../${3##*/}.requests" >answers 2>errors) && sed -i '/^[Dd]ate: /d' "$3"/*.head && sed -i "s#$url#@URL@#" "$3/answers"
    kill "$pid"
    wait "$pid"
}

input_fat() {
    [ -e "$WORK/in/site" ] || input_site || return
    fetch_from_unix "$DIST/mir-www" "$WORK/in/site" "$WORK/in/unix-site" || return
    input_corpus && mkdir "$WORK/corpus-fat" || return
    "$MIR" fat site --site "$corpus_site" --no-cache -o "$WORK/corpus-fat" || return
    cp "$WORK/corpus-fat/files.img" "$WORK/in/corpus-files.img"
    cp "$WORK/corpus-fat/pages.img" "$WORK/in/corpus-pages.img"
}

# The disks of the site once more; one that has something else, and one whose second file of three is to be broken in
# the middle: where that is stands in broken-range, in sectors, with the size of all.
input_disks() {
    local at
    cp "$DIST/files.img" "$DIST/pages.img" "$WORK/in"
    mkdir "$WORK/disks"
    (
        cd "$WORK/disks" || exit
        echo 'something else' >other.txt
        head -c 256K /dev/urandom >1.bin
        yes 'this is where it will be broken' | head -c 256K >2.bin
        head -c 256K /dev/urandom >3.bin
        "$MIR" fat create other.img 1M && "$MIR" fat add other.img other.txt &&
            "$MIR" fat create broken.img 1M && "$MIR" fat add broken.img 1.bin 2.bin 3.bin || exit
        at=$(LC_ALL=C grep -obUa -m 1 'this is where it will be broken' broken.img | head -n 1 | cut -d: -f1)
        [ -n "$at" ] || exit
        echo "$((at / 512 + 128)) 256 $(($(stat -c %s broken.img) / 512))" >broken-range
        head -c "$(($(stat -c %s broken.img) / 2))" broken.img >half.img
        head -c 1M /dev/urandom >garbage.img
        mv other.txt other.img broken.img broken-range half.img garbage.img "$WORK/in"
    )
}

# The image without its site: what mir says of it.
host_small() {
    local size
    size=$(sed -n 's/.*small\.xen: .* bytes, \([0-9]*\) without its site$/\1/p' "$WORK/inputs.log")
    if [ "${size:-9999999}" -le $((512 << 10)) ]; then
        echo "  ok: the image without its site has $size bytes, at most 512 KiB"
    else
        echo "  FAILED: the image without its site has $size bytes, over 512 KiB"
    fi
}
