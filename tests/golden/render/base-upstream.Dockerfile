FROM debian:trixie-slim@sha256:1111111111111111111111111111111111111111111111111111111111111111 AS parent

FROM parent

USER root
ARG SOURCE_DATE_EPOCH

RUN --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \
    --mount=type=secret,id=hubstack-ca,required=false,mode=0444 \
    sh /tmp/.hubstack/run.sh <<'EOF'
useradd jovyan
EOF

USER 1000:100
