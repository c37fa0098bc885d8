FROM parent
USER root
ARG SOURCE_DATE_EPOCH=1767225600
ARG REPO_DIR=/srv/repo
ENV REPO_DIR=${REPO_DIR}
USER 1000:100
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack/provide.py,target=/tmp/.hubstack/provide.py \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    exec "$(command -v python || command -v python3)" /tmp/.hubstack/provide.py check <<'EOF'
{
 "stack": "small/plain",
 "runtime": {
  "name": "python",
  "version": "3.13",
  "where": "binder/runtime.txt:1"
 },
 "apt": [
  {
   "text": "hello",
   "where": "binder/apt.txt:1"
  }
 ],
 "requirements": [
  {
   "text": "humanize",
   "where": "binder/requirements.txt:1"
  }
 ],
 "conda": []
}
EOF
USER root
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack/run.sh,target=/tmp/.hubstack/run.sh \
    --mount=type=cache,id=hubstack-repository-apt-lists-60e05bd1b195,target=/var/lib/apt/lists,sharing=locked \
    --mount=type=cache,id=hubstack-repository-apt-60e05bd1b195,target=/var/cache/apt,sharing=locked \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    sh /tmp/.hubstack/run.sh apt <<'EOF'
apt-get install -y --no-install-recommends --no-upgrade --no-remove \
hello
EOF
USER 1000:100
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack/provide.py,target=/tmp/.hubstack/provide.py \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    exec "$(command -v python || command -v python3)" /tmp/.hubstack/provide.py install <<'EOF'
{
 "stack": "small/plain",
 "requirements": [
  {
   "text": "humanize",
   "where": "binder/requirements.txt:1"
  }
 ],
 "path": "",
 "environment": [],
 "environment_path": "",
 "package": false
}
EOF
USER root
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack/run.sh,target=/tmp/.hubstack/run.sh \
    --mount=type=bind,source=src/binder/install.R,target=/tmp/.hubstack/install.R \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    sh /tmp/.hubstack/run.sh <<'EOF'
umask 002
Rscript --no-save --no-restore -e 'options(warn = 2)' -e 'source("/tmp/.hubstack/install.R", echo = TRUE)'
EOF
USER root
RUN install -d -o 1000 -g 100 "$REPO_DIR" && mkdir -p /etc/profile.d && \
    printf 'PATH=%s\n' "$REPO_DIR/.local/bin:$PATH:${HOME:-/home/jovyan}/.local/bin" >/etc/profile.d/zz-repository.sh
ENV PATH=$REPO_DIR/.local/bin:$PATH:${HOME:-/home/jovyan}/.local/bin
WORKDIR ${REPO_DIR}
COPY --chown=1000:100 src/ ${REPO_DIR}/
USER 1000:100
RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack/provide.py,target=/tmp/.hubstack/provide.py \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    exec "$(command -v python || command -v python3)" /tmp/.hubstack/provide.py postBuild <<'EOF'
{
 "stack": "small/plain",
 "post_build": "binder/postBuild"
}
EOF
USER root
COPY --chmod=0755 .hubstack/entrypoint.sh /usr/local/bin/hubstack-entrypoint
RUN chmod +x "$REPO_DIR/binder/start"
ENV HUBSTACK_START=${REPO_DIR}/binder/start
ENTRYPOINT ["/usr/local/bin/hubstack-entrypoint"]
CMD ["jupyter", "lab"]
USER 1000:100
