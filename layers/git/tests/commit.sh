# A commit with a large file: its pointer is in the repository, its content in the worktree of a clone.
set -eu
cd "$(mktemp -d)"
git init --quiet --initial-branch=main original
cd original
git config user.name Jo
git config user.email jo@example.org
git lfs track '*.bin' >/dev/null
head -c 100000 /dev/zero >large.bin
git add .
git commit --quiet --message 'first commit'
git cat-file -p HEAD:large.bin | grep -q 'oid sha256:'
git clone --quiet . ../copy
test "$(stat --format %s ../copy/large.bin)" = 100000
git -C ../copy log --format=%s
