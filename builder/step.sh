# shellcheck shell=bash
# Sourced by venv.sh and machine.sh: how a step is run and shown, how to be root, what a foreseen failure looks like.
# Bash 3.2 is enough for this file and for venv.sh, so that both also work on a laptop with macOS.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$ROOT/.run # logs, process ids, the registry's files: all of it may be deleted when nothing runs
mkdir -p "$RUN"

say() { printf '%s\n' "$*" >&2; }

# A foreseen failure: what is missing, and on the next line the remedy. Exit code 2, as hubstack's own usage errors.
fail() {
    printf 'setup: %s\n' "$1" >&2
    shift
    while [ $# -gt 0 ]; do printf '  %s\n' "$1" >&2; shift; done
    exit 2
}

# step TITLE LOG COMMAND...: runs COMMAND with its output in .run/LOG and prints one line when it has ended. Until then a
# terminal sees the seconds count, and anything else a line every 20 s, so that a log shows that something goes on.
step() {
    local title=$1 log=$RUN/$2 begin=$SECONDS pid rc=0 beat=20
    shift 2
    printf -- '--- %s\n' "$title" >>"$log"
    "$@" >>"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        if [ -t 2 ]; then
            printf '\rsetup: %s … %d s ' "$title" $((SECONDS - begin)) >&2
        elif [ $((SECONDS - begin)) -ge "$beat" ]; then
            say "setup: $title … $((SECONDS - begin)) s: $(tail -n 1 "$log" | cut -c 1-80)"
            beat=$((beat + 20))
        fi
        sleep 0.2
    done
    wait "$pid" || rc=$?
    [ ! -t 2 ] || printf '\r\033[K' >&2
    if [ "$rc" = 0 ]; then
        say "setup: $title: done in $((SECONDS - begin)) s"
        return 0
    fi
    say "setup: $title: failed (exit $rc) after $((SECONDS - begin)) s. The end of ${log#"$ROOT"/}:"
    tail -n 20 "$log" | sed 's/^/  | /' >&2
    return "$rc"
}

# One set-up at a time in one clone: two `make` at once would both find no engine and start two.
one_at_a_time() {
    command -v flock >/dev/null || return 0
    exec 9>"$RUN/lock"
    flock -n 9 || { say "setup: another set-up runs in this clone: waiting for it"; flock 9; }
}

may_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null && sudo -v; }; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install PACKAGE...: a release can be asked for with PACKAGE/RELEASE.
apt_install() {
    # --no-remove: a set-up never takes a package away from a machine; it rather fails and says why.
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get install --yes --no-install-recommends --no-remove -o Dpkg::Use-Pty=0 "$@"
}

# Lists older than a day, or none: an old list names versions that the mirror has dropped. A broken source of somebody
# else's must not stop us: apt-get install speaks up if the one that we need is the broken one.
apt_update() {
    [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 2>/dev/null | head -n 1)" ] || return 0
    as_root apt-get update || true
}
