# shellcheck shell=bash
# From the unpacked packages to what QEMU boots: xen (an ELF file), vmlinux and
# dom0.cpio. contents.txt says what goes in.

# The image is rebuilt when the packages or anything that shapes it changed.
image_stamp() {
    {
        cat "$LOCK" "$RIG/image.sh"
        list_stamp contents
        cd "$RIG"
        overlays | while read -r overlay; do find "$overlay" -type f -print0 | sort -z | xargs -0 sha256sum; done
    } | sha256sum | cut -c1-16
}

# The folders of files that are laid over dom0.
overlays() {
    local extra
    echo dom0
    for extra in "${EXTRAS[@]}"; do [ ! -d "$RIG/dom0-$extra" ] || echo "dom0-$extra"; done
}

# The path inside the tree, with the links of a merged /usr taken out.
merged() {
    local path=${1#/}
    case $path in
    bin/* | sbin/* | lib/* | lib64/*) path=usr/$path ;;
    esac
    printf '%s\n' "$path"
}

# take PATH copies one file or folder from $TREE into $ROOT, and what a symbolic
# link points to.
take() {
    local path target
    path=$(merged "$1")
    while :; do
        [ -e "$TREE/$path" ] || [ -L "$TREE/$path" ] || die "no /$path in the unpacked packages"
        [ -e "$ROOT/$path" ] || [ -L "$ROOT/$path" ] ||
            (cd "$TREE" && cp -a --parents "$path" "$ROOT")
        [ -L "$TREE/$path" ] || return 0
        target=$(readlink "$TREE/$path")
        case $target in
        /*) path=$(merged "$target") ;;
        *) path=$(merged "$(realpath -m -s --relative-to=/ "/${path%/*}/$target")") ;;
        esac
    done
}

take_files() {
    local kind pattern path
    while read -r kind pattern; do
        [ "$kind" = file ] || continue
        local -a found=()
        while IFS= read -r path; do
            [ -e "$TREE/$path" ] || [ -L "$TREE/$path" ] && found+=("$path")
        done < <(cd "$TREE" && compgen -G "$pattern")
        [ ${#found[@]} -gt 0 ] || die "contents.txt: nothing in the packages matches $pattern"
        for path in "${found[@]}"; do take "$path"; done
    done < <(list_entries contents)
}

# Follows ELF NEEDED entries until no library is missing.
take_libraries() {
    local soname path before=-1 now=0
    local -A have_library=()
    while [ "$now" -ne "$before" ]; do
        before=$now
        while read -r soname; do
            [ -z "${have_library[$soname]:-}" ] || continue
            have_library[$soname]=1
            now=$((now + 1))
            path=$(cd "$TREE" && find usr/lib usr/lib64 -name "$soname" -not -path '*/modules/*' | sort)
            [ -n "$path" ] || die "a program of dom0 needs $soname, which no package in packages.txt brings"
            while read -r path; do take "$path"; done <<<"$path"
        done < <(find "$ROOT" -type f \( -perm -u+x -o -name '*.so*' \) -not -name '*.ko' -print0 |
            xargs -0 readelf -d 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | sort -u)
    done
}

# tree_program NAME PROGRAM... runs a program of the tree on the host, under that name
# and with the libraries of the tree.
tree_program() {
    "$TREE/usr/lib64/ld-linux-x86-64.so.2" --argv0 "$1" \
        --library-path "$TREE/usr/lib/x86_64-linux-gnu" "${@:2}"
}

depmod_tree() { tree_program depmod "$TREE/usr/bin/kmod" -b "$1" "$KERNEL"; }

take_modules() {
    local modules=usr/lib/modules/$KERNEL kind name path
    depmod_tree "$TREE" 2>/dev/null || die 'depmod failed on the unpacked kernel'
    mkdir -p "$ROOT/$modules" "$ROOT/etc"
    cp "$TREE/$modules"/modules.{builtin,builtin.modinfo,order} "$ROOT/$modules/"
    while read -r kind name; do
        case $kind in
        load) printf '%s\n' "$name" >>"$ROOT/etc/modules" ;;
        module) ;;
        *) continue ;;
        esac
        if grep -q "/${name//[-_]/[-_]}\.ko\$" "$TREE/$modules/modules.builtin"; then continue; fi
        local -a paths=()
        mapfile -t paths < <(sed -n "s/^\(.*\/${name//[-_]/[-_]}\.ko\):/\1/p" "$TREE/$modules/modules.dep" | tr ' ' '\n' | sed '/^$/d')
        [ ${#paths[@]} -gt 0 ] || die "contents.txt: the kernel has no module $name"
        for path in "${paths[@]}"; do take "$modules/$path"; done
    done < <(list_entries contents)
    depmod_tree "$ROOT" || die 'depmod failed on the image'
}

# Links to Xen's tools, which Debian keeps out of the path, and to busybox's applets
# where no real program has the name.
link_programs() {
    local applet tool
    for tool in "$ROOT"/usr/lib/xen-4.17/bin/*; do
        ln -s "../lib/xen-4.17/bin/${tool##*/}" "$ROOT/usr/sbin/${tool##*/}"
    done
    tree_program busybox "$TREE/usr/bin/busybox" --list | while read -r applet; do
        [ -e "$ROOT/usr/bin/$applet" ] || [ -e "$ROOT/usr/sbin/$applet" ] ||
            ln -s busybox "$ROOT/usr/bin/$applet"
    done
}

# A bzImage carries the kernel's ELF file compressed. Taking it out here saves
# Xen the work, which emulation makes slow. Offsets: the Linux x86 boot protocol.
extract_vmlinux() {
    local image=$1 out=$2 setup payload length
    byte_at() { od -An -v -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }
    setup=$(byte_at $((0x1f1)) 1)
    payload=$(byte_at $((0x248)) 4)
    length=$(byte_at $((0x24c)) 4)
    dd if="$image" of="$out.packed" iflag=skip_bytes,count_bytes bs=64K status=none \
        skip=$(((setup + 1) * 512 + payload)) count="$length"
    case $(od -An -t x1 -N 4 "$out.packed" | tr -d ' ') in
    fd377a58) xz -dc <"$out.packed" >"$out" 2>/dev/null || true ;;
    1f8b*) gzip -dc <"$out.packed" >"$out" 2>/dev/null || true ;;
    esac
    rm -f "$out.packed"
    # the payload ends with its size, which the unpacker may take for garbage
    [ "$(od -An -t x1 -N 4 "$out" 2>/dev/null | tr -d ' ')" = 7f454c46 ] || cp "$image" "$out"
}

# Builds $CACHE/images/STAMP from $CACHE/tree.
build_image() {
    local stamp=$1 work
    TREE=$CACHE/tree
    KERNEL=$(cd "$TREE/usr/lib/modules" && echo *)
    work=$CACHE/images/.new
    ROOT=$work/root
    say "building dom0's initramfs (Linux $KERNEL)"
    rm -rf "$work"
    mkdir -p "$ROOT"/usr/{bin,sbin,lib,lib64} "$ROOT"/{dev,proc,sys,run,tmp,root,etc,rig}
    ln -s usr/bin usr/sbin usr/lib usr/lib64 "$ROOT/"
    take_files
    take_libraries
    take_modules
    link_programs
    overlays | while read -r overlay; do cp -a "$RIG/$overlay/." "$ROOT/"; done
    chmod 755 "$ROOT" && chmod 1777 "$ROOT/tmp"
    (cd "$ROOT" && find . -print0 | sort -z | cpio -0 -o -H newc -R 0:0 --quiet) >"$work/dom0.cpio"
    gzip -dc "$TREE"/boot/xen-4.17-amd64.gz >"$work/xen"
    extract_vmlinux "$TREE/boot/vmlinuz-$KERNEL" "$work/vmlinux"
    cp "$TREE/boot/vmlinuz-$KERNEL" "$work/vmlinuz"
    rm -rf "$ROOT" "$CACHE/images/$stamp"
    mv "$work" "$CACHE/images/$stamp"
    find "$CACHE/images" -mindepth 1 -maxdepth 1 -not -name "$stamp" -mtime +1 -exec rm -rf {} +
}

# Fills the cache as far as needed, silently and without the network when it is full;
# with "update" from the newest packages. The caller holds the cache's lock. Sets IMAGE.
prepare_image() {
    LOCK=$(lock_file)
    if [ "${1:-}" != update ] && [ -s "$LOCK" ] && IMAGE=$CACHE/images/$(image_stamp) && [ -d "$IMAGE" ]; then
        touch "$IMAGE" 2>/dev/null || true
        return 0
    fi
    need_fill_tools
    apt_options
    if [ "${1:-}" = update ] || [ ! -s "$LOCK" ]; then lock_packages; fi
    download_packages || {
        say 'the package server may have newer versions by now; reading its lists again'
        lock_packages
        download_packages || die 'cannot download the packages'
    }
    IMAGE=$CACHE/images/$(image_stamp)
    [ ! -d "$IMAGE" ] || return 0
    unpack_packages
    build_image "${IMAGE##*/}"
}
