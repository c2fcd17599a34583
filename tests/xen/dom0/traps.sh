# shellcheck shell=bash
# A guest that fails on purpose: what it says, and that it ends there.

fails() { # NAME
    stop
    # after create's own, so that it counts
    create 'kernel="failing.xen"' "extra=\"$1\"" 'on_crash="destroy"' 'vif=[]'
    check "$1: it ends" wait_for 60 gone
    expect "$1: how" crash "$(reason)"
}

check_failure() { # NAME PATTERN
    fails "$1"
    says "$1: it says what happened, and where" "\*\*\* $2.* backtrace: 0x[0-9a-f]+"
}

readonly REGISTERS='.* rax [0-9a-f]{16} .* rsp [0-9a-f]{16} '

check_failure read-null "[^*]*\(#14\), error code 0x[0-9a-f]*, at 0x[0-9a-f]* +read of 0x8: not mapped$REGISTERS"
echo '  (its report, for scripts/symbolize on the host)'
console | sed 's/^/    | /'
check_failure write-text "[^*]*\(#14\).*write to 0x[0-9a-f]+: not permitted$REGISTERS"
check_failure write-constant "[^*]*\(#14\).*write to 0x[0-9a-f]+: not permitted$REGISTERS"
check_failure execute-heap "[^*]*\(#14\).*execution of 0x[0-9a-f]+: not permitted$REGISTERS"
check_failure undefined-instruction "[^*]*\(#6\)$REGISTERS"
check_failure general-protection "[^*]*\(#13\)$REGISTERS"
# There is no stack left to report on: Xen, which cannot push the frame of the page fault, ends the domain.
fails stack-overflow
says 'stack-overflow: not before its time' 'about to fail: stack-overflow'
check_failure out-of-memory '.*memory'
check_failure panic 'panicked at .*provoke.rs:[0-9]+:[0-9]+: +on purpose'
