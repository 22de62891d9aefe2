#!/bin/sh
# Users and certificates of the local broker: nodes.sh init [HOST …] | add NODE | remove NODE | list
#
# init makes the relay's password and, with names or addresses under which nodes reach this gateway, an authority and
# the broker's certificate (for a broker that listens on the network). What is there stays. `add` prints the node's
# password once; it is kept as a digest only. No password ever stands in a command line.
set -eu
umask 077
LC_ALL=C
export LC_ALL

root=${QYTET_EDGE_ROOT:-}
folder=$root/etc/mosquitto
passwords=$folder/qytet-nodes.passwords
relay=$root/etc/qytet-edge/relay_password

fail() {
    printf 'Error: %s\n' "$1" >&2
    exit 1
}

is_name() {
    case $1 in
    '' | relay | *[!a-z0-9_-]*) return 1 ;;
    esac
    [ "${#1}" -le 64 ]
}

# One at a time: two that change the passwords at once would lose one of them.
alone() {
    exec 9>>"$folder/qytet-nodes.lock"
    flock 9
}

# Replaced by one rename; the broker reads it as its own user, after SIGHUP.
set_user() { # NAME PASSWORD
    partial=$passwords.partial
    printf '%s:%s\n' "$1" "$2" >"$partial"
    mosquitto_passwd -U "$partial"
    [ ! -e "$passwords" ] || grep -v "^$1:" "$passwords" >>"$partial" || true
    put "$partial"
}

put() {
    [ -n "$root" ] || chown root:mosquitto "$1"
    chmod 640 "$1"
    mv -f "$1" "$passwords"
    [ -n "$root" ] || systemctl kill --signal=HUP mosquitto.service 2>/dev/null || true
}

san() {
    for host in "$@"; do
        case $host in
        *[!0-9.]*) printf 'DNS:%s,' "$host" ;;
        *) printf 'IP:%s,' "$host" ;;
        esac
    done | sed 's/,$//'
}

# Each file is there once it is whole, the certificate last: it says that the rest was made.
certificate() { # HOST …
    if [ ! -e "$folder/qytet-ca.crt" ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7300 \
            -subj "/CN=Qytet nodes of $(uname -n)" -addext "keyUsage=critical,keyCertSign,cRLSign" \
            -keyout "$folder/qytet-ca.key" -out "$folder/qytet-ca.crt.partial" 2>/dev/null
        chmod 644 "$folder/qytet-ca.crt.partial"
        mv -f "$folder/qytet-ca.crt.partial" "$folder/qytet-ca.crt"
    fi
    extensions=$(mktemp)
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' "$(san "$@")" >"$extensions"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$folder/qytet-server.key" -out "$folder/qytet-server.csr" 2>/dev/null
    openssl x509 -req -in "$folder/qytet-server.csr" -CA "$folder/qytet-ca.crt" -CAkey "$folder/qytet-ca.key" \
        -CAcreateserial -days 3650 -extfile "$extensions" -out "$folder/qytet-server.crt.partial" 2>/dev/null
    rm -f "$extensions" "$folder/qytet-server.csr"
    [ -n "$root" ] || chown root:mosquitto "$folder/qytet-server.key"
    chmod 640 "$folder/qytet-server.key"
    chmod 644 "$folder/qytet-server.crt.partial"
    mv -f "$folder/qytet-server.crt.partial" "$folder/qytet-server.crt"
}

case ${1:-} in
init)
    shift
    mkdir -p "$folder"
    alone
    if [ ! -s "$relay" ]; then
        openssl rand -hex 24 >"$relay.partial"
        [ -n "$root" ] || chown root:qytet-edge "$relay.partial"
        chmod 640 "$relay.partial"
        set_user relay "$(cat "$relay.partial")"
        mv "$relay.partial" "$relay"
        echo "made the relay's password: $relay"
    fi
    if [ $# -gt 0 ] && [ ! -e "$folder/qytet-server.crt" ]; then
        certificate "$@"
        echo "made the broker's certificate for $*; nodes trust $folder/qytet-ca.crt"
    fi
    ;;
add)
    is_name "${2:-}" || fail "A node is named by a-z, 0-9, - and _ (at most 64): ${2:-no name given}."
    password=$(openssl rand -hex 24)
    alone
    set_user "$2" "$password"
    printf 'user      %s\npassword  %s\nThis password is not shown again.\n' "$2" "$password"
    ;;
remove)
    is_name "${2:-}" || fail "Say which node."
    alone
    grep -q "^$2:" "$passwords" || fail "$2 has no password here."
    grep -v "^$2:" "$passwords" >"$passwords.partial" || true
    put "$passwords.partial"
    echo "$2 has no password any more. A connection that is open ends with: systemctl restart mosquitto"
    ;;
list)
    [ ! -e "$passwords" ] || sed 's/:.*//' "$passwords" | grep -vx relay | sort
    ;;
*)
    echo "nodes.sh init [HOST ...] | add NODE | remove NODE | list" >&2
    exit 2
    ;;
esac
