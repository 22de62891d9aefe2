#!/bin/sh
# Sets up a gateway on a fresh Raspberry Pi OS (64 bits, Bookworm or newer), or any Debian 12 or newer.
#
#   sudo sh install.sh --bundle qytet-edge-0.2.0.tar --key update.pem    from a signed bundle, without network for Python
#   sudo sh install.sh                                                  from this checkout; packages are fetched, by hash
#
# Safe to repeat: what is there stays, what is missing is made. `--dry-run` only says what would be done.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
bundle='' key='' config='' password='' nodes='' hosts='' dry='' root='' apt=yes python=/usr/bin/python3
work='' version='' needed=''

usage() {
    cat <<'USAGE'
install.sh [options]
  --bundle FILE|DIR       a bundle (`qytet edge update bundle`); without it: the checkout in which this script lies
  --key FILE              public key that signed the bundle; is trusted for updates from then on
  --config FILE           the gateway's configuration; without it: the sample, if there is none yet
  --password-file FILE    holds the gateway's password at the city's broker
  --nodes                 a local broker (Mosquitto) for nodes near by
  --nodes-host NAME       … that listens on the network, by TLS, under this name or address; may be repeated
  --no-apt                install no Debian packages
  --dry-run               say what would be done, do nothing
  --root DIR, --python P  for tests: install below DIR, without users and services; make environments with P
USAGE
}

fail() {
    printf 'Error: %s\n  Why: %s\n  Do:  %s\n' "$1" "$2" "$3" >&2
    exit 1
}

step() {
    printf '== %s\n' "$1"
}

run() {
    if [ -n "$dry" ]; then
        printf '   would run: %s\n' "$*"
    else
        "$@"
    fi
}

# Only on a whole system: with --root there are no users and no services.
run_system() {
    if [ -n "$root" ]; then
        printf '   left out: %s\n' "$*"
    else
        run "$@"
    fi
}

# put SOURCE TARGET MODE [OWNER]: a file, written whole, if it is not there in this form yet.
put() {
    if ! cmp -s "$1" "$root$2" 2>/dev/null; then
        printf '   %s\n' "$2"
        run install -D -m "$3" "$1" "$root$2.partial"
        [ -z "${4:-}" ] || run_system chown "$4" "$root$2.partial"
        run mv -f "$root$2.partial" "$root$2"
    fi
}

folder() { # PATH MODE [OWNER]
    run install -d -m "$2" "$root$1"
    [ -z "${3:-}" ] || run_system chown "$3" "$root$1"
}

clean() {
    [ -z "$work" ] || rm -rf "$work"
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --bundle | --key | --config | --password-file | --nodes-host | --root | --python)
            [ $# -gt 1 ] || fail "$1 needs a value." "It stands at the end." "install.sh --help"
            ;;
        esac
        case $1 in
        --bundle) bundle=$2 && shift ;;
        --key) key=$2 && shift ;;
        --config) config=$2 && shift ;;
        --password-file) password=$2 && shift ;;
        --nodes) nodes=yes ;;
        --nodes-host) nodes=yes hosts="$hosts $2" && shift ;;
        --no-apt) apt='' ;;
        --dry-run) dry=yes ;;
        --root) root=$2 apt='' && shift ;;
        --python) python=$2 && shift ;;
        --help | -h) usage && exit 0 ;;
        *) usage >&2 && exit 2 ;;
        esac
        shift
    done
}

check_machine() {
    step "Look at this machine"
    [ -n "$dry$root" ] || [ "$(id -u)" = 0 ] || fail "This needs root." "It makes a user and services." "Run it with sudo."
    for file in "$bundle" "$key" "$config" "$password"; do
        [ -z "$file" ] || [ -e "$file" ] || fail "$file does not exist." "An option names it." "Correct the path."
    done
    case $(uname -m) in
    aarch64 | x86_64) ;;
    *) fail "This is a $(uname -m) system." "The packages exist for 64 bits (aarch64, x86_64)." \
        "Write Raspberry Pi OS (64-bit) to the card; a Pi Zero 2 W and newer can run it." ;;
    esac
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or newer is needed." "$("$python" --version 2>&1 || true) is here." "Use Bookworm or newer."
    [ ! -d "$root/opt/qytet-edge/trial" ] || fail "Something is on trial." "A release or a configuration must prove itself." \
        "Wait (qytet edge update status), or end it: qytet edge update rollback"
}

install_packages() {
    [ -n "$apt" ] || return 0
    step "Debian packages"
    wanted='python3-venv python3-lgpio chrony openssl'
    [ -z "$nodes" ] || wanted="$wanted mosquitto"
    for name in $wanted; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || needed="$needed $name"
    done
    [ -n "$needed" ] || return 0
    run apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    run env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $needed
}

make_user() {
    step "User and folders"
    for group in dialout gpio i2c; do
        getent group "$group" >/dev/null || run_system groupadd --system "$group"
    done
    getent passwd qytet-edge >/dev/null ||
        run_system useradd --system --home-dir /var/lib/qytet-edge --shell /usr/sbin/nologin --user-group qytet-edge
    folder /opt/qytet-edge 755
    folder /opt/qytet-edge/releases 755
    folder /etc/qytet-edge 755
    folder /etc/qytet-edge/update-keys 755
    # What the service owns is left alone once it is there: a link in it must not lead our chown elsewhere.
    for name in qytet-edge qytet-edge/update; do
        [ -e "$root/var/lib/$name" ] || folder "/var/lib/$name" 750 qytet-edge:qytet-edge
    done
    [ -e "$root/opt/qytet-edge/lock" ] || run touch "$root/opt/qytet-edge/lock"
}

# The bundle as a folder in $work: signed by a key that is named or trusted already, each file as its manifest says.
open_bundle() {
    step "Check the bundle"
    work=$(mktemp -d)
    trap clean EXIT
    trap 'exit 130' INT TERM
    for head in manifest.json manifest.sig; do
        if [ -d "$bundle" ]; then cat "$bundle/$head"; else tar -xOf "$bundle" "$head"; fi |
            head -c 1000000 >"$work/$head"
        [ -s "$work/$head" ] || fail "$bundle is no bundle." "It holds no $head." "Fetch it again."
    done
    signed=''
    for candidate in ${key:+"$key"} "$root"/etc/qytet-edge/update-keys/*.pem; do
        [ ! -e "$candidate" ] || ! openssl pkeyutl -verify -pubin -inkey "$candidate" -rawin -in "$work/manifest.json" \
            -sigfile "$work/manifest.sig" >/dev/null 2>&1 || signed=$candidate
    done
    [ -n "$signed" ] || fail "The bundle is not signed by anybody whom this gateway trusts." \
        "No key was named, or none fits." "Name the public key of whoever makes your releases: --key update.pem"
    # Only the manifest whose signature was checked counts, and only what it names is unpacked, no byte more.
    version=$("$python" -I - "$bundle" "$work" <<'UNPACK'
import hashlib, json, pathlib, re, sys, tarfile

bundle, work = map(pathlib.Path, sys.argv[1:])
manifest = json.loads((work / "manifest.json").read_bytes())
if not re.fullmatch(r"[0-9]+([.][0-9]+){1,3}", manifest["version"]):
    sys.exit("Error: the bundle's version is none")


def contents():
    if bundle.is_dir():
        for path in bundle.rglob("*"):
            if path.is_symlink() or not path.is_dir():
                whole = path.is_file() and not path.is_symlink()
                yield path.relative_to(bundle).as_posix(), path.open("rb") if whole else None
        return
    with tarfile.open(bundle, "r:") as tar:
        for member in tar:
            yield member.name, tar.extractfile(member) if member.isreg() else None


missing = dict(manifest["files"])
for name, file in contents():
    if name in ("manifest.json", "manifest.sig"):
        continue
    entry = missing.pop(name, None)
    if entry is None or file is None or not re.fullmatch("(wheels|deploy)(/[A-Za-z0-9][A-Za-z0-9._+-]*)+", name):
        sys.exit(f"Error: the bundle does not hold the files that its manifest names: {name!r}. Fetch it again.")
    with file:
        content = file.read(entry["size"] + 1)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        sys.exit(f"Error: the bundle is damaged: {name}. Fetch it again.")
    to = work / "files" / name
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(content)
if missing:
    sys.exit(f"Error: the bundle does not hold the files that its manifest names: {min(missing)}. Fetch it again.")
print(manifest["version"])
UNPACK
    ) || exit 1
}

checkout_version() {
    source=$(cd "$here/../.." && pwd -P)
    [ -f "$source/pyproject.toml" ] || fail "There is nothing to install." "$here lies in no checkout." "Name a bundle."
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml" | head -n 1)
}

pip_into() { # RELEASE OPTIONS…
    release_python=$1/bin/python
    shift
    run "$release_python" -m pip --disable-pip-version-check --no-input --quiet install --no-cache-dir "$@" ||
        fail "The Python packages could not be installed." "pip says why above." "Mend it and run this again."
}

make_release() {
    release=$root/opt/qytet-edge/releases/$version
    step "Release $version"
    if [ ! -e "$release/complete" ]; then
        run "$python" -m venv --clear "$release"
        if [ -n "$bundle" ]; then
            pip_into "$release" --no-index --only-binary :all: --find-links "$work/files/wheels" "qytet[edge]==$version"
        else
            pip_into "$release" --require-hashes -r "$source/requirements/edge.txt"
            pip_into "$release" --no-deps --no-build-isolation "$source"
        fi
        # gpiozero needs lgpio, which is compiled against the system's Python: borrow the system's, and nothing else.
        for found in /usr/lib/python3/dist-packages/lgpio.py /usr/lib/python3/dist-packages/_lgpio*.so; do
            for site in "$release"/lib/python3.*/site-packages; do
                [ ! -e "$found" ] || [ ! -d "$site" ] || run ln -sf "$found" "$site/"
            done
        done
        run "$release/bin/qytet" --version
        run sync
        run touch "$release/complete"
        run sync
    fi
    if [ "$(readlink "$root/opt/qytet-edge/current" 2>/dev/null)" != "releases/$version" ]; then
        [ ! -L "$root/opt/qytet-edge/current" ] ||
            run cp -Pf "$root/opt/qytet-edge/current" "$root/opt/qytet-edge/previous"
        run ln -sfn "releases/$version" "$root/opt/qytet-edge/current.partial"
        run mv -T "$root/opt/qytet-edge/current.partial" "$root/opt/qytet-edge/current"
    fi
    folder /usr/local/bin 755
    run ln -sfn /opt/qytet-edge/current/bin/qytet "$root/usr/local/bin/qytet"
}

install_files() {
    step "Services, guard, clock"
    put "$here/guard.sh" /opt/qytet-edge/guard.sh 755
    for unit in "$here"/systemd/*; do
        put "$unit" "/etc/systemd/system/${unit##*/}" 644
    done
    put "$here/chrony/qytet-edge.conf" /etc/chrony/conf.d/qytet-edge.conf 644
}

install_config() {
    step "Configuration"
    target=/etc/qytet-edge/qytet-edge.toml
    if [ -n "$config" ]; then
        put "$config" "$target" 640 root:qytet-edge
    elif [ ! -e "$root$target" ]; then
        put "$here/qytet-edge.toml" "$target" 640 root:qytet-edge
    fi
    [ -z "$password" ] || put "$password" /etc/qytet-edge/broker_password 600
    [ -e "$root/etc/qytet-edge/broker_password" ] || put /dev/null /etc/qytet-edge/broker_password 600
    [ -z "$key" ] || put "$key" "/etc/qytet-edge/update-keys/$(basename "$key" .pem).pem" 644
}

install_nodes() {
    [ -n "$nodes" ] || return 0
    step "Local broker for nodes"
    put "$here/broker/qytet-nodes.acl" /etc/mosquitto/qytet-nodes.acl 640 root:mosquitto
    put "$here/broker/nodes.sh" /opt/qytet-edge/nodes.sh 755
    # shellcheck disable=SC2086 # a list of words
    run_system sh /opt/qytet-edge/nodes.sh init $hosts
    put "$here/broker/qytet-nodes.conf" /etc/mosquitto/conf.d/qytet-nodes.conf 644
    [ -z "$hosts" ] || put "$here/broker/qytet-nodes-lan.conf" /etc/mosquitto/conf.d/qytet-nodes-lan.conf 644
    run_system systemctl enable mosquitto.service
    run_system systemctl restart mosquitto.service
}

start() {
    step "Start"
    run_system systemctl daemon-reload
    run_system systemctl try-restart chrony.service
    run_system systemctl enable --now qytet-edge-guard.path qytet-edge-update.path
    if cmp -s "$here/qytet-edge.toml" "$root/etc/qytet-edge/qytet-edge.toml"; then
        cat <<'NEXT'
The configuration is still the sample, so the gateway is not started. Next:
  sudo nano /etc/qytet-edge/qytet-edge.toml
  sudo nano /etc/qytet-edge/broker_password
  sudo qytet edge config check
  sudo systemctl enable --now qytet-edge
  sudo qytet edge doctor
NEXT
        return 0
    fi
    run_system systemctl enable qytet-edge.service
    run_system systemctl restart qytet-edge.service
    printf 'Release %s is installed. How it is: sudo qytet edge status; what is wrong: sudo qytet edge doctor\n' "$version"
}

read_options "$@"
check_machine
install_packages
if [ -n "$bundle" ]; then open_bundle; else checkout_version; fi
make_user
make_release
install_files
install_config
install_nodes
start
