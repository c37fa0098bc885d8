# What a terminal of JupyterLab, a login shell, gets for PATH, and the locale.
set -eu
env -i HOME="$HOME" LANG="$LANG" bash --login -c 'echo "$PATH $LANG"'
