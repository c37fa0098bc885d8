FROM parent

USER root
ARG SOURCE_DATE_EPOCH

# apt.txt
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-apt-lists-base-trixie,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,id=hubstack-apt-base-trixie,target=/var/cache/apt,sharing=locked \
    sh /tmp/.hubstack/run.sh apt <<'EOF'
apt-get install -y --no-install-recommends \
    ffmpeg \
    graphviz=2.42 \
    g++
EOF

# environment.yml
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-conda,target=/tmp/conda,sharing=locked \
    --mount=type=bind,source=environment.yml,target=/tmp/environment.yml \
    sh /tmp/.hubstack/run.sh <<'EOF'
umask 002
export CONDA_PKGS_DIRS=/tmp/conda
"$(command -v mamba || command -v conda)" env update --name base --file /tmp/environment.yml
EOF

# requirements.txt
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-uv,target=/tmp/uv \
    --mount=type=cache,id=hubstack-pip,target=/tmp/pip \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    sh /tmp/.hubstack/run.sh <<'EOF'
umask 002
export UV_CACHE_DIR=/tmp/uv UV_LINK_MODE=copy PIP_CACHE_DIR=/tmp/pip
if command -v uv >/dev/null; then
    uv pip install --python "$(command -v python)" --no-deps --require-hashes -r /tmp/requirements.txt
else
    python -m pip install --no-deps --require-hashes --no-compile --no-input --disable-pip-version-check \
        -r /tmp/requirements.txt
fi
PYTHONHASHSEED=0 python -B /tmp/.hubstack/bytecode.py
EOF

# npm.txt
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-npm,target=/tmp/npm \
    sh /tmp/.hubstack/run.sh <<'EOF'
npm install --global --prefix /usr/local --cache /tmp/npm --logs-max=0 --no-audit --no-fund --no-update-notifier \
    @bazel/bazelisk@1.25.0 \
    left-pad@1.3.0
EOF

# install.R
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=install.R,target=/tmp/install.R \
    sh /tmp/.hubstack/run.sh <<'EOF'
umask 002
export _R_SHLIB_STRIP_=true
Rscript -e 'options(warn = 2)
    stamp <- paste0("--built-timestamp=", Sys.getenv("SOURCE_DATE_EPOCH"))
    install.packages <- function(..., INSTALL_opts = NULL)
        utils::install.packages(..., INSTALL_opts = c(stamp, INSTALL_opts))
    source("/tmp/install.R", echo = TRUE)'
EOF

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=files,target=/tmp/files \
    sh /tmp/.hubstack/run.sh <<'EOF'
tar -C /tmp/files --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" -cf /tmp/copy.tar .
tar -C / --no-overwrite-dir --keep-directory-symlink -xpf /tmp/copy.tar
EOF

# postBuild
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=postBuild,target=/tmp/postBuild \
    sh /tmp/.hubstack/run.sh <<'EOF'
cd /tmp
./postBuild
EOF

USER 1000:100
