# shellcheck shell=bash
# The emulated machine: what goes into it, how it is started, how it ends.

# Collects --put files, the script and the mode in a cpio archive, which the kernel
# unpacks after dom0's own: it works without a network and under the instruction
# clock. Reads PUTS, SCRIPT, MODE.
pack_run() {
    local stage=$WORK/stage number=0 put file path
    mkdir -p "$stage/rig/put"
    printf '%s\n' "$MODE" >"$stage/rig/mode"
    : >"$stage/rig/puts"
    for put in "${PUTS[@]}"; do
        file=$put path=
        if [ ! -e "$put" ]; then
            file=${put%:*} path=${put##*:}
        fi
        [ -r "$file" ] || die "--put: cannot read $file"
        [ -n "$path" ] || path=$(basename "$file")
        case $path in
        */) path=$path$(basename "$file") ;;
        esac
        ln -s "$(realpath "$file")" "$stage/rig/put/$number"
        printf '%s %s\n' "$number" "$path" >>"$stage/rig/puts"
        number=$((number + 1))
    done
    if [ "$SCRIPT" = - ]; then
        cat >"$stage/rig/script"
    elif [ -n "$SCRIPT" ]; then
        cat "$SCRIPT" >"$stage/rig/script"
    fi
    (cd "$stage" && find -L . -mindepth 1 | LC_ALL=C sort | cpio -o -L -H newc -R 0:0 --quiet) >>"$WORK/dom0.cpio"
    rm -rf "$stage"
}

# Prints QEMU's arguments, one a line. Reads ICOUNT, MEMORY, FORWARDS. File names are
# those in $WORK: a comma or a blank in a path would mean something to QEMU.
machine_arguments() {
    local xen="console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=all dom0_max_vcpus=1"
    local dom0=$((MEMORY / 2)) forward
    xen+=" dom0_mem=${dom0}M,max:${dom0}M"
    # a comma in dom0's arguments would start another multiboot module
    # self-tests of ciphers and a check of page tables are a third of the boot
    local linux="console=hvc0 quiet loglevel=4 panic=-1 cryptomgr.notests rodata=off"
    if [ "$ICOUNT" = yes ]; then
        printf '%s\n' -accel tcg,thread=single -smp 1 -icount shift=0,sleep=off \
            -rtc base=2024-01-01T00:00:00,clock=vm -seed 1
    else
        xen+=" dom0_vcpus_pin"
        printf '%s\n' -accel tcg,thread=multi -smp 2 -rtc base=utc
    fi
    # without -smap dom0 dies early: QEMU 7.2 applies SMAP to an iretq from ring 3
    printf '%s\n' -machine q35 -cpu max,-smap,-smep -m "$MEMORY" -nodefaults -no-user-config \
        -display none -no-reboot -monitor none -serial file:serial.log \
        -kernel xen -append "$xen" -initrd "vmlinux $linux,dom0.cpio" \
        -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
        -device virtio-serial-pci \
        -chardev file,id=out,path=out -device virtserialport,chardev=out,name=org.mir.out \
        -chardev file,id=report,path=report -device virtserialport,chardev=report,name=org.mir.report
    if [ ${#FORWARDS[@]} -eq 0 ]; then
        printf '%s\n' -nic none
        return
    fi
    local user="user,id=n0,restrict=on,ipv6=off,net=10.0.0.0/24,host=10.0.0.254,dns=10.0.0.253"
    for forward in "${FORWARDS[@]}"; do
        user+=",hostfwd=tcp:127.0.0.1:${forward%%:*}-${forward#*:}"
    done
    printf '%s\n' -netdev "$user" -device virtio-net-pci,netdev=n0,romfile=
}

# Handles what dom0's init reports; ends when QEMU closes the pipe.
follow_reports() {
    local word rest
    while read -r word rest; do
        case $word in
        ready)
            [ "$MODE" = up ] || continue
            say 'dom0 is up; Ctrl-C ends it'
            for rest in "${FORWARDS[@]}"; do
                say "  http://localhost:${rest%%:*}/ leads to port ${rest##*:} of $(cut -d: -f2 <<<"$rest")"
            done
            ;;
        status)
            printf '%s\n' "$rest" >"$WORK/status"
            if [ "$MODE" = up ]; then say "the script ended with status $rest; dom0 stays up"; fi
            ;;
        failed) say "in dom0: $rest failed" ;;
        esac
    done <"$WORK/report"
}

# The readers of the pipes end with the machine; they are killed for the case that it
# never opened its side.
clean_up() {
    local status=$? child
    trap - EXIT
    trap '' INT TERM HUP
    for child in ${MACHINE:-} ${READERS:-}; do
        kill "$child" 2>/dev/null || continue
        wait "$child" 2>/dev/null || true
    done
    [ -z "$KEEP_LOG" ] || cp "$WORK/serial.log" "$KEEP_LOG" 2>/dev/null || true
    rm -rf "$WORK"
    exit "$status"
}

show_log() {
    if [ ! -s "$WORK/serial.log" ]; then
        say "$1, without a word from Xen"
        return
    fi
    say "$1; the end of the serial log (Xen and dom0):"
    tail -n 30 "$WORK/serial.log" | tr -d '\r' | sed 's/^/    /' >&2
}

# Boots the machine and waits for its end. Returns the script's status.
run_machine() {
    local -a arguments
    local ended=0
    mapfile -t arguments < <(machine_arguments)
    mkfifo "$WORK/out" "$WORK/report"
    # dom0 must not hang on a pipe that nobody reads: what follows is thrown away
    { cat 2>/dev/null || cat >/dev/null; } <"$WORK/out" &
    READERS=$!
    follow_reports &
    READERS+=" $!"
    # a rig that is killed takes its machine with it
    local -a guard=()
    if have setpriv; then guard=(setpriv --pdeathsig TERM); fi
    "${guard[@]}" env -C "$WORK" timeout --foreground -k 5 "$TIMEOUT" qemu-system-x86_64 "${arguments[@]}" \
        </dev/null >"$WORK/qemu.log" 2>&1 &
    MACHINE=$!
    wait "$MACHINE" || ended=$?
    # QEMU may have ended before it opened the pipes
    : <>"$WORK/out" <>"$WORK/report"
    local reader
    for reader in $READERS; do wait "$reader" || true; done
    if [ "$ended" -eq 124 ] || { [ "$ended" -eq 137 ] && [ "$TIMEOUT" -gt 0 ]; }; then
        show_log "no end after $TIMEOUT seconds"
        return "$TIMED_OUT"
    fi
    if [ -s "$WORK/status" ]; then return "$(cat "$WORK/status")"; fi
    cat "$WORK/qemu.log" >&2
    show_log 'the machine ended before the script did'
    return "$RIG_FAILED"
}
