# shellcheck shell=bash
# A site that was not made with this program in mind.

start 'kernel="corpus.xen"'
check_pages "$(cat corpus.name), Xen" "$URL" "$IN/corpus"
well 'corpus'
