# Nothing that differs between two builds, or between two machines, is in the base.
set -eu
test ! -s /etc/machine-id
test -z "$(find /var/lib/apt/lists -type f -size +0)"
test -z "$(find /var/log -type f -size +0)"
test -z "$(ls -A /home)" || test "$(ls /home)" = jovyan
# The certificates of Debian, and of nobody else.
test -z "$(ls /usr/local/share/ca-certificates)"
curl --version >/dev/null
locale -a | grep -qx en_US.utf8
