# shellcheck shell=bash
# Compares what a server answers with what write_pages has written. For dom0 and for the host.

# Asks URL for every page in FOLDER.
check_pages() { # WHAT URL FOLDER
    local out count
    out=$(mktemp -d)
    sed "s#@URL@#$2#" "$3/requests" >"$out/requests"
    (cd "$out" && curl -K requests 2>errors | sed -E '/^[0-9]+\|3/s/^(([^|]*\|){2})[^|]*\|\|[^|]*/\1||/; s/; /;/' >answers)
    count=$(wc -l <"$3/answers")
    expect "$1: status and head of $count pages" '' \
        "$(sed "s#@URL@#$2#" "$3/answers" | diff - "$out/answers" | head -n 10; head -n 3 "$out/errors")"
    expect "$1: the bytes of $(wc -l <"$3/sums") pages" '' "$(cd "$out" && sha256sum -c "$3/sums" 2>&1 | grep -v ': OK$' | head -n 10)"
    rm -r "$out"
}
