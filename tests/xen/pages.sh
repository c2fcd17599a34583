# shellcheck shell=bash
# What an image must answer, written down for curl and sha256sum.

# A path as it stands in a request.
encode() { # PATH
    local LC_ALL=C path=$1 out='' byte i
    for ((i = 0; i < ${#path}; i++)); do
        byte=${path:i:1}
        case $byte in
        [a-zA-Z0-9/._~-]) out+=$byte ;;
        *)
            printf -v byte '%%%02X' "$(($(printf '%d' "'$byte") & 255))"
            out+=$byte
            ;;
        esac
    done
    printf '%s' "$out"
}

# Writes to FOLDER, for each path and encoding of IMAGE:
#   requests   for curl -K: bodies go to files named by number; @URL@ stands for the server's address
#   answers    number|status|media type|encoding|length|location, as curl reports them
#   sums       for sha256sum -c
# Paths that are redirects have no body to compare.
write_pages() { # IMAGE FOLDER
    local number=0 status type variants path location variant encoding length
    mkdir -p "$2"
    while read -r status type variants path; do
        if [ "$type" = - ]; then
            # a redirect, whose line has no variants: "301 - - /from -> /to"
            location=${path#* -> } path=${path% -> *}
            number=$((number + 1))
            write_request "$number" "$path" identity >>"$2/requests"
            echo "$number|$status||||@URL@$location" >>"$2/answers"
            continue
        fi
        for variant in ${variants//,/ }; do
            encoding=${variant%=*} length=${variant#*=}
            number=$((number + 1))
            write_request "$number" "$path" "$encoding" >>"$2/requests"
            "$MIR" cat "$1" "$path" --encoding "$encoding" | sha256sum | sed "s/-\$/$number/" >>"$2/sums"
            [ "$encoding" != identity ] || encoding=
            echo "$number|$status|$type|$encoding|$length|" >>"$2/answers"
        done
    done < <("$MIR" list "$1")
    [ "$number" -gt 0 ]
}

write_request() { # NUMBER PATH ENCODING
    [ "$1" -eq 1 ] || echo next
    cat <<END
url = "@URL@$(encode "$2")"
header = "Accept-Encoding: $3"
output = "$1"
write-out = "$1|%{http_code}|%header{content-type}|%header{content-encoding}|%header{content-length}|%{redirect_url}\n"
silent
show-error
globoff
max-time = 60
END
}
