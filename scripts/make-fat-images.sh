#!/bin/sh
# A site as two FAT images for `--kv_ro=fat`: DIR/files.img with its static files, DIR/pages.img with its pages.
#
#   scripts/make-fat-images.sh [SITE [DIR [ARGUMENTS...]]]
#
# SITE is www/site and DIR is dist if not given; the arguments are those of `mir fat site`, see docs/fat-tool.md.
# With SOURCE_DATE_EPOCH in the environment the same site gives the same bytes.
set -eu
cd_from=$(pwd)
root=$(cd "$(dirname "$0")/.." && pwd)

absolute() {
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$cd_from" "$1" ;;
    esac
}

case ${1-} in
-h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
site=$root/www/site
[ $# -eq 0 ] || { site=$(absolute "$1") && shift; }
dir=$root/dist
[ $# -eq 0 ] || { dir=$(absolute "$1") && shift; }

mir=$root/dist/mir
if [ ! -x "$mir" ]; then
    echo "make-fat-images: $mir is not there yet: make tools" >&2
    make -C "$root" tools
fi
"$mir" fat site --site "$site" -o "$dir" "$@"
for part in files pages; do
    "$mir" fat check "$dir/$part.img"
done
