# Users may add packages: every folder belongs to the group users, is writable for it and hands that on.
set -eu
venv=$(python -c 'import sys; print(sys.prefix)')
test "$venv" = /opt/venv
test -z "$(find "$venv" -type d ! \( -group users -perm -2070 \) -print -quit)"
# Nobody's old packages in the home come before those of the image.
test "$(python -c 'import site; print(site.ENABLE_USER_SITE)')" = False
