# What a terminal of JupyterLab, a login shell, gets for PATH, and the locale.
set -eu
# shellcheck disable=SC2016 # the inner shell expands it
env -i HOME="$HOME" LANG="$LANG" bash --login -c 'echo "$PATH $LANG"'
