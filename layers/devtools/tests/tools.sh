# The tools work together: find, pack, unpack, copy, ask.
set -eu
cd "$(mktemp -d)"
echo '{"one": {"name": "two"}}' >data.json
zip --quiet data.zip data.json
rm data.json
unzip -q data.zip
rsync --archive data.json copy.json
rclone copyto copy.json again.json 2>/dev/null
test "$(rg --files-with-matches two | wc -l)" = 3
printf 'all:\n\tjq .one.name again.json\n' >Makefile
tmux -L test new-session -d 'make --silent >answer'
for _ in $(seq 50); do test -s answer && break; sleep 0.1; done
cat answer
