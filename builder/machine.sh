#!/usr/bin/env bash
# machine.sh up [tools] | stop | status: a container engine, a registry on loopback and mmdebstrap, for a machine that has
# none; with `tools` also what tests drive.
# What answers already is used as it is. What is missing comes from Debian's packages, and is started from here
# because a container or a small VM may have no systemd. `stop` ends what `up` started, and nothing else.
set -euo pipefail
# shellcheck source=builder/step.sh
source "$(dirname "${BASH_SOURCE[0]}")/step.sh"
# shellcheck source=builder/tools.sh
source "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

TOOLS=${2:-}
REGISTRY=${HUBSTACK_REGISTRY:-127.0.0.1:5000/hubstack} # HOST:PORT/PREFIX, as `hubstack --registry` takes it
ADDRESS=${REGISTRY%%/*}
CONTAINERD_SOCKET=/run/containerd/containerd.sock

# ── What is there ─────────────────────────────────────────────────────────────────────────────────

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # a plain user of Debian has none of these

have() { command -v "$1" >/dev/null; }
deadline() { if have timeout; then timeout "$@"; else "${@:2}"; fi; } # macOS has none
engine_answers() { have docker && deadline 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
have_buildx() { have docker && docker buildx version >/dev/null 2>&1; }
loopback() { case $ADDRESS in 127.*:* | localhost:* | '[::1]':*) ;; *) return 1 ;; esac; }

# With bash's own sockets: a fresh machine may have no curl, and a proxy that the environment names is not asked.
# Prints what answers: "registry", "other" or "nothing".
ask_registry() {
    local host=${ADDRESS%:*} port=${ADDRESS##*:} answer
    host=${host#[}
    if ! { exec 3<>"/dev/tcp/${host%]}/$port"; } 2>/dev/null; then
        echo nothing
        return
    fi
    printf 'GET /v2/ HTTP/1.0\r\nHost: %s\r\n\r\n' "$ADDRESS" >&3
    answer=$(deadline 5 cat <&3 | tr -d '\0' | tr '[:upper:]' '[:lower:]') || true
    exec 3>&-
    # The distribution API's version header, or its bare 200: not every registry sends the header.
    case $answer in
        *docker-distribution-api-version:* | 'http/1.'?' 200'*) echo registry ;;
        *) echo other ;;
    esac
}

# ── What is installed ─────────────────────────────────────────────────────────────────────────────

# bookworm's engine (20.10) is too old for BuildKit's named contexts and the containerd image store. trixie's four packages
# run on bookworm; its runc does not (a newer libc), and is not taken: the pin below prefers bookworm for all the rest.
needs_trixie() { grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release; }

missing_packages() {
    local release=
    ! needs_trixie || release=/trixie
    if ! engine_answers && { ! have dockerd || ! have_buildx; }; then
        echo "docker.io$release docker-buildx$release"
        [ -z "$release" ] || echo "containerd$release docker-cli$release"
    elif ! have_buildx; then
        echo "docker-buildx$release"
    fi
    if loopback && [ "$(ask_registry)" = nothing ] && ! have docker-registry; then echo docker-registry; fi
    have mmdebstrap || echo mmdebstrap
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || echo debian-archive-keyring
    have git || echo git
    [ -z "$TOOLS" ] || missing_tools
}

# The mirror is the one that this machine uses already: apt itself says which, for both forms of its sources.
write_trixie_source() {
    local mirror
    # shellcheck disable=SC2016 # $(…) is apt's own
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
    [ -n "$mirror" ] || { echo "apt's sources name no mirror for bookworm main"; return 1; }
    # Pinned under the release in use, so that no upgrade of anything takes a version from it unasked.
    as_root tee /etc/apt/preferences.d/hubstack-trixie.pref >/dev/null <<-PIN
		# Written by hubstack's builder/machine.sh: trixie is for the container engine, and cosign, only.
		Package: *
		Pin: release n=trixie
		Pin-Priority: 100
	PIN
    as_root tee /etc/apt/sources.list.d/hubstack-trixie.sources >/dev/null <<-SOURCE
		# Written by hubstack's builder/machine.sh: see preferences.d/hubstack-trixie.pref
		Types: deb
		URIs: $mirror
		Suites: trixie
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCE
    # Keyrings of bookworm's first releases don't know trixie's key.
    apt_install debian-archive-keyring && as_root apt-get update
}

# Debian starts a service when its package is installed. Not here: the registry's would take our port on every
# interface, and the engine's would run before it has its configuration. policy-rc.d is Debian's way to say so.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d rc=0
    [ ! -e $policy ] || { "$@"; return; }
    printf '#!/bin/sh\n# hubstack is installing packages; it deletes this file afterwards\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
    "$@" || rc=$?
    as_root rm -f $policy
    return $rc
}

install_packages() {
    case "$*" in */trixie*) write_trixie_source || return ;; esac
    apt_install "$@" || return
    case " $* " in *' docker-registry '*)
        # Or it would come up at the next boot, on our port, with a password that nobody has.
        if have systemctl; then as_root systemctl disable docker-registry.service || true; fi ;;
    esac
}

install_missing() {
    local packages names remedy=("as root: $ROOT/builder/machine.sh up${TOOLS:+ $TOOLS}")
    read -r -d '' -a packages < <(missing_packages) || true
    [ ${#packages[@]} != 0 ] || return 0
    names=${packages[*]%%/*}
    if engine_answers; then
        if ! ours dockerd >/dev/null && { ! loopback || [ "$(ask_registry)" = registry ]; }; then
            fail "this machine has an engine and a registry, so nothing is installed on it unasked; missing: $names" \
                "to install it: sudo apt-get install $names"
        fi
    else
        remedy+=("and then, as root: usermod --append --groups docker $(id -un)")
    fi
    if ! have apt-get; then
        fail "missing: $names; and there is no apt-get to install them with" \
            "start an engine with buildx, Docker 25 or later, and a registry:" \
            "docker run --detach --publish $ADDRESS:5000 registry:2" \
            "then install the others with this system's own package manager"
    fi
    may_be_root || fail "missing: $names; to install them takes root" "${remedy[@]}"
    step "Debian's package lists" apt.log apt_update
    step "installing ${packages[*]}" apt.log without_starting_services install_packages "${packages[@]}"
}

# ── What runs ─────────────────────────────────────────────────────────────────────────────────────

# A process id comes back: after a reboot, or after 32,768 processes. With the moment of its start and the boot it is
# unique, so `stop` can't end somebody else's process that got the number of ours.
identity() {
    local stat
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    # shellcheck disable=SC2086 # split on purpose; field 2 is a name in brackets that may hold blanks
    set -- $1 ${stat##*) }
    [ "$2" != Z ] || return 1
    echo "$1 ${21} $(cat /proc/sys/kernel/random/boot_id)"
}

ours() { # NAME: prints the process id that we started under this name, if it still runs
    local recorded
    recorded=$(cat "$RUN/$1.pid" 2>/dev/null) && [ -n "$recorded" ] || return 1
    [ "$(identity "${recorded%% *}")" = "$recorded" ] && echo "${recorded%% *}"
}

# launch NAME RUNNER COMMAND…: RUNNER is as_root or env. In a session of its own, so that it outlives this script and
# Ctrl-C in the terminal does not reach it; without the lock that this script holds. The id of `sudo COMMAND &` would be
# sudo's own: so the inner shell says it.
launch() {
    local name=$1 runner=$2 pid
    shift 2
    # shellcheck disable=SC2016 # expanded by the inner bash
    pid=$("$runner" bash -c 'setsid nohup "$@" >"$0" 2>&1 </dev/null 9>&- & echo $!' "$RUN/$name.log" "$@")
    identity "$pid" >"$RUN/$name.pid" || true
}

# end NAME SECONDS: asks it to end, waits, and then does not ask.
end() {
    local name=$1 pid last=$((SECONDS + $2))
    if pid=$(ours "$name"); then
        as_root kill "$pid" || true
        while ours "$name" >/dev/null; do
            if [ $SECONDS -ge $last ]; then as_root kill -KILL "$pid" || true; sleep 1; break; fi
            sleep 0.1
        done
        ! ours "$name" >/dev/null || { echo "$name ($pid) does not end"; return 1; }
    fi
    rm -f "$RUN/$name.pid"
}

await() { # SECONDS NAME COMMAND…: until COMMAND succeeds; not longer than the process NAME lives
    local last=$((SECONDS + $1)) name=$2
    shift 2
    until "$@"; do
        ours "$name" >/dev/null || { echo "$name has ended"; return 1; }
        [ $SECONDS -lt $last ] || { echo "$name does not answer"; return 1; }
        sleep 0.2
    done
}

# Who may use the engine's socket is as good as root, so it is never given to a group that others are in as well.
socket_group() {
    local me
    me=$(id -un)
    case " $(id -nG) " in
        *' docker '*) echo docker ;;
        *" $me "*) if [ "$me" = root ]; then echo docker; else echo "$me"; fi ;;
        *) return 1 ;;
    esac
}

# containerd apart from dockerd and both with Debian's own folders, just as Debian's services start them: where systemd
# starts them at the next boot, the images of today are still there, and every clone on this machine shares them. And a
# dockerd that was killed leaves no containerd of its own behind, which would make its next start fail.
start_engine() {
    local group
    if ! group=$(socket_group); then
        echo "$(id -un) is not in the group docker: sudo usermod --append --groups docker $(id -un)"
        return 1
    fi
    # The classic image store can't export an OCI layout. A configuration that somebody wrote stays as it is.
    if [ ! -e /etc/docker/daemon.json ]; then
        as_root mkdir -p /etc/docker
        echo '{"features": {"containerd-snapshotter": true}}' | as_root tee /etc/docker/daemon.json >/dev/null
    fi
    if ! containerd_answers; then
        launch containerd as_root containerd
        await 30 containerd containerd_answers || return
    fi
    drop_stale_pid_file
    launch dockerd as_root dockerd --containerd=$CONTAINERD_SOCKET --group="$group"
    await 60 dockerd engine_answers
}

# ctr waits 10 s for a socket that is not there, whatever its --timeout.
containerd_answers() {
    [ -S $CONTAINERD_SOCKET ] &&
        as_root ctr --address $CONTAINERD_SOCKET --connect-timeout 1s --timeout 2s version >/dev/null 2>&1
}

# dockerd won't start while the process that this file names "is still running", and takes a zombie for running: they
# stay in containers whose first process reaps no orphans.
drop_stale_pid_file() {
    local pid
    pid=$(cat /var/run/docker.pid 2>/dev/null) || return 0
    identity "$pid" >/dev/null || as_root rm -f /var/run/docker.pid
}

# A first start after a crash may fail on what the crash left behind, and clean it up in doing so.
start_engine_or_again() {
    start_engine && return
    tail -n 5 "$RUN/dockerd.log"
    stop_engine
    echo "once more"
    start_engine && return
    tail -n 15 "$RUN/dockerd.log"
    stop_engine
    return 1
}

stop_engine() {
    local task
    end dockerd 40 || return
    # Where dockerd was killed, its containers live on. They are ours to end only on a containerd that is ours.
    if ours containerd >/dev/null && ! engine_answers; then
        for task in $(as_root ctr --namespace moby tasks list --quiet 2>/dev/null); do
            as_root ctr --namespace moby tasks delete --force "$task" || true
        done
        end containerd 20
    fi
}

# Its files are in the clone: who deletes the clone deletes them. Delete is on so that hubstack's clean-up can be tried.
start_registry() {
    end registry 10 || return # one on another port, from before HUBSTACK_REGISTRY was changed
    cat >"$RUN/registry.yml" <<-CONFIG
		version: 0.1
		log: {level: warn, accesslog: {disabled: true}}
		storage:
		  filesystem: {rootdirectory: $RUN/registry}
		  delete: {enabled: true}
		http: {addr: "$ADDRESS"}
	CONFIG
    launch registry env docker-registry serve "$RUN/registry.yml"
    await 20 registry registry_answers || { tail -n 15 "$RUN/registry.log"; return 1; }
}

registry_answers() { [ "$(ask_registry)" = registry ]; }

# ── The three verbs ───────────────────────────────────────────────────────────────────────────────

up() {
    if loopback && [ "$(ask_registry)" = other ]; then
        fail "$ADDRESS is taken by something that is no registry" \
            "to use another port: HUBSTACK_REGISTRY=127.0.0.1:5001/hubstack make …"
    fi
    engine_answers || refuse_an_engine_that_is_elsewhere_or_forbidden
    install_missing
    [ -z "$TOOLS" ] || have_helm || step "helm and kubectl" tools.log fetch_helm
    if ! engine_answers; then
        may_be_root || fail "the engine is not running; to start it takes root" \
            "as root: $ROOT/builder/machine.sh up${TOOLS:+ $TOOLS}" "and then, as root: usermod --append --groups docker $(id -un)"
        step "starting the engine" machine.log start_engine_or_again
    fi
    if loopback && ! registry_answers; then step "starting a registry on $ADDRESS" machine.log start_registry; fi
    case $(docker info --format '{{.DriverStatus}}') in
        *io.containerd.snapshotter*) ;;
        *) say "setup: this engine has the classic image store, which can't export OCI layouts; to switch it:" \
            '{"features": {"containerd-snapshotter": true}} in /etc/docker/daemon.json, then restart it' ;;
    esac
}

refuse_an_engine_that_is_elsewhere_or_forbidden() {
    if [ -n "${DOCKER_HOST:-}" ] || { have docker && [ "$(docker context show 2>/dev/null)" != default ]; }; then
        fail "the engine that DOCKER_HOST or the docker context names does not answer" "to see why: docker version" \
            "to use an engine of this machine: unset DOCKER_HOST; docker context use default"
    fi
    if have docker && docker version 2>&1 | grep -q 'permission denied'; then
        fail "an engine runs here, but $(id -un) may not use it" \
            "as root: usermod --append --groups docker $(id -un)" "then log in again"
    fi
}

stop() {
    local name running=()
    for name in registry dockerd containerd; do if ours $name >/dev/null; then running+=("$name"); fi; done
    [ ${#running[@]} != 0 ] || { say "stop: nothing runs that was started from here"; rm -f "$RUN"/*.pid; return; }
    step "stopping ${running[*]}" machine.log stop_all
}

stop_all() { end registry 10 && stop_engine; }

status() {
    local name pid engine=none
    if engine_answers; then engine=$(docker version --format '{{.Server.Version}}'); fi
    echo "engine: $engine, $(docker buildx version 2>/dev/null || echo no buildx)"
    echo "registry at $ADDRESS: $(ask_registry)"
    for name in registry dockerd containerd; do if pid=$(ours $name); then echo "started from here: $name ($pid)"; fi; done
}

case ${1:-} in
    up | stop)
        one_at_a_time
        "$1"
        ;;
    status) status ;;
    *) fail "usage: machine.sh up [tools] | stop | status" ;;
esac
