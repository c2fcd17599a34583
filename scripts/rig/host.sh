# shellcheck shell=bash
# The host's side: messages, and the programs that the rig needs.

say() { printf 'xen-rig: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit "$RIG_FAILED"
}

have() { command -v "$1" >/dev/null 2>&1; }

# Programs needed to run, and those needed only to fill the cache, each with the
# Debian package that has it.
readonly RUN_TOOLS='qemu-system-x86_64:qemu-system-x86 cpio:cpio flock:util-linux timeout:coreutils'
readonly FILL_TOOLS='apt-get:apt apt-cache:apt dpkg-deb:dpkg tar:tar xz:xz-utils gzip:gzip readelf:binutils'

missing_packages() {
    local pair
    for pair in "$@"; do
        have "${pair%%:*}" || printf '%s\n' "${pair#*:}"
    done | sort -u | tr '\n' ' '
}

# need_tools PROGRAM:PACKAGE... installs what is missing, or says what it is.
need_tools() {
    local missing
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    local -a packages
    read -ra packages <<<"$missing"
    local install="apt-get install --no-install-recommends ${packages[*]}"
    if ! have apt-get; then
        say "programs are missing on this host: ${packages[*]} (names of Debian packages)."
        die 'this system has no apt-get to install them with; use your package manager.'
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "programs are missing on this host: ${packages[*]}. Only root can install them:"
        die "    sudo apt-get update && sudo $install"
    fi
    say "installing ${packages[*]} on this host with apt-get (the one step that needs root)"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >&2 || {
        say 'trying again after apt-get update'
        apt-get update >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" >&2
    } || die "cannot install ${packages[*]}"
}

need_run_tools() {
    # shellcheck disable=SC2086
    need_tools $RUN_TOOLS
}

need_fill_tools() {
    [ "$(uname -m)" = x86_64 ] ||
        die "the cache is filled from amd64 packages with amd64 tools; this host is $(uname -m)"
    if ! have apt-get || ! have dpkg-deb; then
        die 'Xen and dom0 are made from Debian packages with apt-get and dpkg-deb, which this system lacks. Use Debian 12 (a container will do), or copy a filled cache here and set XEN_RIG_CACHE to it.'
    fi
    # shellcheck disable=SC2086
    need_tools $FILL_TOOLS
}
