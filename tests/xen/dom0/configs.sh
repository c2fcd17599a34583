# shellcheck shell=bash
# Configurations that mir writes, as xl understands them; nothing is started. And how little memory a small site needs.

dry_run() { # NAME
    local status
    xl create -n "$1.xl" 2>"$1.said"
    status=$?
    grep -v '^Parsing config from ' "$1.said" >"$1.errors"
    return "$status"
}

# Understood without a word of complaint, and as meant.
check_config() { # NAME PATTERN...
    local name=$1 pattern
    shift
    if dry_run "$name" >"$name.json" && [ ! -s "$name.errors" ]; then
        ok "$name.xl: xl understands it"
    else
        failed "$name.xl: xl understands it"
        head -n 5 "$name.errors" | sed 's/^/    | /'
    fi
    for pattern; do
        check "$name.xl: $pattern" grep -qF -- "$pattern" "$name.json"
    done
}

check_config crunch '"name": "crunch"' '"type": "pv"' '"bridge": "br-x"' '"ip": "10.0.0.9"' '"mac": "00:16:3e:00:00:09"' '"max_memkb": 16384'
check_config disks '"name": "disks"' '"vdev": "xvda"' '"vdev": "xvdb"' '"format": "raw"' '/fat/files.img"' '/fat/pages.img"'
check_config words '"cmdline": "--logs='"'net:debug, *:info'"' \"\\\"\" #"'
check_config shim '"type": "pvh"' '"pvshim": "True"'

start 'memory=8'
check 'a small site in 8 MiB' serves
well '8 MiB'
