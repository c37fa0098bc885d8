#!/usr/bin/env bash
# Makes .venv from requirements.lock, again only when that file changed, and installs hubstack itself into it, editable.
# By pip and not by uv: pip reads the machine's pip.conf, where a company's mirror and certificate are written.
set -euo pipefail
# shellcheck source=builder/step.sh
source "$(dirname "${BASH_SOURCE[0]}")/step.sh"
cd "$ROOT"

# The first Python from 3.11 on that can make a venv: Debian ships one that can't without the package python3-venv.
find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

make_venv() {
    rm -rf .venv
    "$1" -m venv .venv
    .venv/bin/python -m pip --disable-pip-version-check install --no-input --progress-bar off \
        --require-hashes -r requirements.lock
}

# Editable, so a file of metadata and a script: only when pyproject.toml, from which they are made, has changed. The
# build backend is in the lock; without isolation nothing that is not locked is fetched.
install_hubstack() {
    .venv/bin/python -m pip --disable-pip-version-check install --no-input --no-deps --no-build-isolation --editable .
}

# The copies inside .venv say what it was made from; they are put there last, so a killed run begins again.
same() { cmp -s "$1" ".venv/made-from-$1"; }

# A venv also dies with the Python that it was made from (an upgrade, a removed pyenv version).
works() { .venv/bin/python -c '' 2>/dev/null; }

if works && same requirements.lock && same pyproject.toml; then exit 0; fi
one_at_a_time
if ! works || ! same requirements.lock; then
    if ! python=$(find_python); then
        if ! command -v apt-get >/dev/null || ! may_be_root; then
            fail "no Python from 3.11 on that can make a venv" "to install it: sudo apt-get install python3 python3-venv"
        fi
        step "Debian's package lists" apt.log apt_update
        step "installing python3-venv" apt.log apt_install python3 python3-venv
        python=$(find_python) || fail "no Python from 3.11 on; this system's python3 is $(python3 --version 2>&1)" \
            "install a newer one and name it: make PYTHON=/path/to/python3.12 venv"
    fi
    count=$(grep -c '^[a-z0-9].*==' requirements.lock)
    step "making .venv ($count locked Python packages)" venv.log make_venv "$python"
    cp requirements.lock .venv/made-from-requirements.lock
fi
step "installing hubstack into .venv" venv.log install_hubstack
cp pyproject.toml .venv/made-from-pyproject.toml
