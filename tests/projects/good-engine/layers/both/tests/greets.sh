set -eu
greet "$(cat /opt/words)"
python -c "import six"
