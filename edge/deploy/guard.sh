#!/bin/sh
# Ends trials of releases and configurations: keeps the new one when the city has stored a record of it, goes back to
# the old one when it started too often or too long ago. Needs no Python, no network and no room on the disk.
#
#   guard.sh start     before each start of the gateway (ExecStartPre): takes one start away
#   guard.sh watch     while there is a trial (qytet-edge-guard.path): `look` every 5 s, `check` every minute
#   guard.sh look      keeps the new one if there is evidence
#   guard.sh check     the same, and takes one minute away
#   guard.sh revert    goes back at once
#
# What lies where: edge/qytet_edge/update/layout.py and trial.py. QYTET_EDGE_ROOT and QYTET_EDGE_RESTART are for tests.
set -u

root=${QYTET_EDGE_ROOT:-}
base=$root/opt/qytet-edge
trial=$base/trial
config=$root/etc/qytet-edge/qytet-edge.toml
evidence=$root/var/lib/qytet-edge/update/evidence
mode=${1:-check}

say() {
    printf 'qytet-edge guard: %s\n' "$1" >&2
}

field() { # of trial/info
    sed -n "s/^$1=//p" "$trial/info" 2>/dev/null | head -n 1
}

restart() {
    if [ -n "${QYTET_EDGE_RESTART:-}" ]; then
        $QYTET_EDGE_RESTART
    else
        systemctl --no-block restart qytet-edge.service
    fi
}

# The old one's way back: gone once it was used.
back_is_there() {
    case $(field kind) in
    release) [ -L "$trial/back" ] ;;
    *) [ -e "$config.back" ] ;;
    esac
}

# The trial is gone for others by one rename, before its files go one by one.
drop_trial() {
    rm -rf "$base/trial.over"
    mv -T "$trial" "$base/trial.over"
    sync "$base" 2>/dev/null || sync
    rm -rf "$base/trial.over"
}

revert() {
    say "going back to $(field from): $1"
    if [ "$(field kind)" = release ]; then
        [ ! -L "$trial/back" ] || mv -T "$trial/back" "$base/current" || return 1
    else
        [ ! -e "$config.back" ] || mv -f "$config.back" "$config" || return 1
    fi
    sync "$base" "${config%/*}" 2>/dev/null || sync
    [ ! -e "$trial/reverted" ] || mv -f "$trial/reverted" "$base/outcome"
    drop_trial
}

commit() {
    say "keeping $(field to): the city has stored a record of it"
    [ ! -e "$trial/committed" ] || mv -f "$trial/committed" "$base/outcome"
    [ "$(field kind)" = release ] || rm -f "$config.back"
    drop_trial
}

# Whether the gateway says that the city stored a record of exactly this trial's release or configuration.
is_proven() {
    [ -f "$evidence" ] && [ ! -L "$evidence" ] || return 1
    said=$(head -c 400 "$evidence" 2>/dev/null) || return 1
    has() { printf '%s\n' "$said" | grep -qxF "$1"; }
    has "trial=$(field id)" && has "$(field kind)=$(field to)"
}

# Take one token away; fails if there was none. Removing works on a full disk, counting up would not.
take() {
    for token in "$trial/$1"/*; do
        [ -e "$token" ] || return 1
        rm -f "$token"
        sync "$trial/$1" 2>/dev/null || sync
        return 0
    done
}

judge() {
    if [ ! -e "$trial/committed" ]; then # the power went while it was being kept
        commit
    elif ! back_is_there || [ ! -e "$trial/reverted" ]; then # … or while it was going back
        revert "as begun" && return 3
    elif [ "$mode" = revert ]; then
        revert "asked for" && return 3
    elif is_proven; then
        commit
    elif [ "$mode" = start ] && ! take starts; then
        revert "it started too often without evidence" && return 3
    elif [ "$mode" = check ] && ! take checks; then
        revert "it had its time without evidence" && return 3
    fi
    return 0
}

# A minute counts while the gateway has power and runs, whatever its clock says.
watch() {
    looks=0
    while [ -d "$trial" ]; do
        sleep "${QYTET_EDGE_LOOK_S:-5}"
        looks=$((looks + 1))
        if [ "$looks" -lt 12 ]; then
            sh "$0" look
        else
            sh "$0" check
            looks=0
        fi
    done
}

case $mode in
start | look | check | revert) ;;
watch)
    watch
    exit 0
    ;;
*)
    say "unknown: $mode (start, watch, look, check or revert)"
    exit 2
    ;;
esac
[ -d "$base" ] || exit 0

# An update that is being made holds the lock: a look comes again soon, a start waits a little.
exec 9>>"$base/lock" || exit 0
case $mode in
look | check) flock -n 9 || exit 0 ;;
*) flock -w 60 9 || exit 0 ;;
esac

rm -rf "$base/trial.over"
[ -d "$trial" ] || exit 0
judge
went_back=$?
exec 9>&-
if [ "$went_back" = 3 ] && [ "$mode" != start ]; then
    restart
fi
exit 0
