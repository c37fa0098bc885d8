FROM ghcr.io/tool/tool:1.2@sha256:2222222222222222222222222222222222222222222222222222222222222222 AS tool

FROM parent
COPY --from=nodejs /usr/local/bin/node /usr/local/bin/
COPY --from=tool /bin/tool /usr/local/bin/

RUN whoami

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
    jq
EOF

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=files,target=/tmp/files \
    sh /tmp/.hubstack/run.sh <<'EOF'
cp -R /tmp/files/etc /tmp/copy
find /tmp/copy -type f -exec chmod 0640 {} +
mkdir -p /etc/
tar -C /tmp/copy --owner=0 --group=100 --mtime="@$SOURCE_DATE_EPOCH" -cf /tmp/copy.tar .
tar -C /etc/ --no-overwrite-dir --keep-directory-symlink -xpf /tmp/copy.tar
EOF

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=bind,source=files,target=/tmp/files \
    sh /tmp/.hubstack/run.sh <<'EOF'
install -D --owner=0 --group=0 -m 0644 /tmp/files/etc/a.conf /opt/a.conf
EOF

USER 1000:100

RUN whoami

USER root

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    --mount=type=cache,id=hubstack-apt-lists-base-trixie,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,id=hubstack-apt-base-trixie,target=/var/cache/apt,sharing=locked \
    --mount=type=bind,source=files,target=/tmp/files \
    sh /tmp/.hubstack/run.sh apt <<'EOF_'
    echo by-hand

    cat <<EOF >/etc/motd
    trixie
EOF
EOF_

ENV DONE=1

USER 1000:100
