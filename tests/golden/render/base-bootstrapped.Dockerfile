FROM scratch AS parent
ADD rootfs.tar /

FROM parent

USER root
ARG SOURCE_DATE_EPOCH

# apt.txt
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-apt-lists-base-bootstrapped-trixie,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,id=hubstack-apt-base-bootstrapped-trixie,target=/var/cache/apt,sharing=locked \
    sh /tmp/.hubstack/run.sh apt <<'EOF'
apt-get install -y --no-install-recommends \
    tini
EOF

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=files,target=/tmp/files \
    sh /tmp/.hubstack/run.sh <<'EOF'
tar -C /tmp/files --owner=0 --group=0 --mtime="@$SOURCE_DATE_EPOCH" -cf /tmp/copy.tar .
tar -C / --no-overwrite-dir --keep-directory-symlink -xpf /tmp/copy.tar
EOF

USER 1000:100
