# shellcheck shell=bash
# Debian packages into the cache: resolve, download, unpack. No step needs root,
# and apt's own lists and settings on the host stay untouched.

# Prints the names of the files that say what goes in: packages.txt or contents.txt, and
# those of the extras that --with names, such as packages-qdisk.txt. Reads EXTRAS.
list_files() { # KIND
    local extra
    printf '%s\n' "$RIG/$1.txt"
    for extra in "${EXTRAS[@]}"; do printf '%s\n' "$RIG/$1-$extra.txt"; done
}

# Prints the lines of these files without comments.
list_entries() { # KIND
    local -a files
    mapfile -t files < <(list_files "$1")
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${files[@]}"
}

# Says what would make two lists different ones.
list_stamp() { # KIND
    local -a files
    mapfile -t files < <(list_files "$1")
    cat "${files[@]}" | sha256sum | cut -c1-12
}

apt_options() {
    local state=$CACHE/apt
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    : >"$state/status"
    APT=(-q -o "Dir::State=$state" -o "Dir::Cache=$state" -o "Dir::State::status=$state/status"
        -o Acquire::Languages=none -o APT::Update::Error-Mode=any -o "APT::Sandbox::User=$(id -un)")
    if grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release 2>/dev/null; then return; fi
    # not Debian 12: its packages all the same, if its signatures can be checked
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite
    [ -r "$keyring" ] ||
        die "this is not Debian 12, whose packages the rig is made of: install debian-archive-keyring, by which they are checked"
    [ -n "${XEN_RIG_MIRROR-}" ] ||
        die "this is not Debian 12, whose packages the rig is made of: set XEN_RIG_MIRROR to the address of a Debian mirror, below which debian/ and debian-security/ are"
    for suite in debian:bookworm debian-security:bookworm-security; do
        printf 'deb [arch=amd64 signed-by=%s] %s/%s %s main\n' "$keyring" "${XEN_RIG_MIRROR%/}" "${suite%:*}" "${suite#*:}"
    done >"$state/sources.list"
    APT+=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=-)
}

# Prints the packages of packages.txt and the libraries that they depend on.
# Only lib* and zlib* are followed: what else a package depends on (perl, debconf, python)
# is not part of this dom0. Of alternatives the first is taken.
resolve_packages() {
    local -a top
    mapfile -t top < <(list_entries packages | sed "s/^linux-image-amd64\$/$1/")
    apt-cache "${APT[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "${top[@]}" |
        awk -v top="${top[*]}" '
            /^[^ ]/ { of = $1; alternative = 0; virtual = 0; next }
            /^    / { if (virtual) { add(of, $1); virtual = 0 }; next }
            {
                first = !alternative
                alternative = ($1 ~ /^\|/)
                virtual = 0
                if (!first) next
                if ($2 ~ /^</) virtual = 1; else add(of, $2)
            }
            function add(of, name) {
                sub(/:any$/, "", name)
                if (name ~ /^z?lib/) deps[of] = deps[of] " " name
            }
            END {
                n = split(top, queue, " ")
                for (i = 1; i <= n; i++) seen[queue[i]] = 1
                for (i = 1; i <= n; i++) {
                    print queue[i]
                    m = split(deps[queue[i]], names, " ")
                    for (j = 1; j <= m; j++)
                        if (!(names[j] in seen)) { seen[names[j]] = 1; queue[++n] = names[j] }
                }
            }'
}

# Each list of packages has a lock of its own, so that versions of the project, and runs with
# and without extras, can share a cache: a line "FILE SHA256 PACKAGE" for each package.
lock_file() { printf '%s/packages-%s.lock\n' "$CACHE" "$(list_stamp packages)"; }

lock_packages() {
    local kernel
    say "reading Debian's package lists"
    apt-get "${APT[@]}" update >"$CACHE/apt/update.log" 2>&1 ||
        say "apt-get update did not fully succeed (see $CACHE/apt/update.log), going on"
    kernel=$(apt-cache "${APT[@]}" depends linux-image-amd64 2>/dev/null |
        sed -n 's/^  Depends: \(linux-image-.*\)/\1/p' | head -n1)
    if [ -z "$kernel" ] || ! apt-cache "${APT[@]}" show xen-hypervisor-4.17-amd64 >/dev/null 2>&1; then
        tail -n 5 "$CACHE/apt/update.log" >&2
        die "apt's sources offer no linux-image-amd64 or no xen-hypervisor-4.17-amd64: the package server of Debian 12 (bookworm) must be reachable, once. Copying a filled cache and setting XEN_RIG_CACHE also works."
    fi
    local -a names
    mapfile -t names < <(resolve_packages "$kernel")
    apt-get "${APT[@]}" download --print-uris "${names[@]}" |
        sed -n "s/^'[^']*\/\([^'\/]*\)' \([^ ]*\) [0-9]* SHA256:\([0-9a-f]*\)\$/\2 \3/p" |
        awk '{ name = $1; sub(/_.*/, "", name); print $1, $2, name }' | sort >"$LOCK.new"
    [ "$(wc -l <"$LOCK.new")" -eq "${#names[@]}" ] ||
        die "apt-get names $(wc -l <"$LOCK.new") files for ${#names[@]} packages"
    mv "$LOCK.new" "$LOCK"
}

deb_is_whole() { [ -f "$CACHE/debs/$1" ] && [ "$(sha256sum <"$CACHE/debs/$1")" = "$2  -" ]; }

# Downloads the packages of the lock that are not in the cache yet.
download_packages() {
    local file sum name
    local -a wanted=()
    mkdir -p "$CACHE/debs"
    while read -r file sum name; do
        deb_is_whole "$file" "$sum" || wanted+=("$name")
    done <"$LOCK"
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "downloading ${#wanted[@]} packages"
    (
        set -o pipefail
        cd "$CACHE/debs"
        apt-get "${APT[@]}" download "${wanted[@]}" 2>&1 | while read -r line; do
            case $line in
            Get:* | Fetched* | E:* | Err:*) printf '  %s\n' "$line" >&2 ;;
            esac
        done
    ) || return 1
    while read -r file sum name; do
        deb_is_whole "$file" "$sum" || { say "$file is not what the package lists promise"; return 1; }
    done <"$LOCK"
}

# Unpacks the packages into $CACHE/tree, with /bin, /sbin and /lib under /usr.
# Kernel modules for hardware that QEMU does not have here are left out.
unpack_packages() {
    local tree=$CACHE/tree stamp file _
    stamp=$(sha256sum <"$LOCK")
    [ "$(cat "$tree.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    rm -rf "$tree" "$tree.stamp"
    mkdir -p "$tree"/usr/{bin,sbin,lib,lib64}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$tree/"
    say "unpacking $(wc -l <"$LOCK") packages"
    while read -r file _; do
        dpkg-deb --fsys-tarfile "$CACHE/debs/$file" |
            tar -x -C "$tree" --no-same-owner --keep-directory-symlink \
                --exclude='./usr/share' --exclude='./lib/modules/*/kernel/sound' \
                --exclude='./lib/modules/*/kernel/drivers/'{gpu,media,staging,scsi,infiniband,iio,hid,usb,input,mtd,mmc,hwmon,ata,target,platform,isdn,nvme,rtc,i2c,leds,video,bluetooth,crypto} \
                --exclude='./lib/modules/*/kernel/drivers/net/'{ethernet,wireless,usb,can,fddi,phy,hamradio,wwan}
    done <"$LOCK"
    printf '%s\n' "$stamp" >"$tree.stamp"
}
