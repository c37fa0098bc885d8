#!/bin/bash -l
# An image with a `start` script begins here: with a login shell's environment, as repo2docker's images do, and with an
# init process where the stack has one.
set -- "$HUBSTACK_START" "$@"
if [ $$ = 1 ] && command -v tini >/dev/null; then
    exec tini -g -- "$@"
fi
exec "$@"
