# Runs inside an image: what somebody asked for, without what came along; a section a package manager, a name a line.
echo "=apt"
command -v apt-mark >/dev/null && {
    dpkg-query -W -f '${Pre-Depends},${Depends}\n' 2>/dev/null | tr -d ' ' | tr '|' ',' | tr ',' '\n' |
        sed -n 's/[(:].*//; s/^./needed &/p'
    dpkg-query -W -f '${Package} ${Priority} ${Essential}\n' 2>/dev/null |
        awk '$2 == "required" || $2 == "important" || $3 == "yes" { print "needed", $1 }'
    apt-mark showmanual 2>/dev/null | sed 's/^/manual /'
} | awk '$1 == "needed" { needed[$2] = 1 } $1 == "manual" && !needed[$2] { print $2 }'
echo "=pip"
command -v python3 >/dev/null && python3 - <<'PY' 2>/dev/null
import re
from importlib.metadata import distributions

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

there = {normal(d.metadata["Name"]): d.requires or () for d in distributions() if d.metadata["Name"]}
waiting, needed = [(name, "") for name in there], set()
seen = set(waiting)
while waiting:
    name, extra = waiting.pop()
    for line in there.get(name, ()):
        only = re.search(r"extra\s*==\s*['\"]([^'\"]+)", line)
        if only is not None and normal(only[1]) != extra:
            continue
        below = re.match(r"([\w.-]+)\s*(?:\[([^\]]*)\])?", line)
        needed.add(normal(below[1]))
        for one in (below[2] or "").split(","):
            found = (normal(below[1]), normal(one.strip()))
            if found not in seen:
                seen.add(found)
                waiting.append(found)
print(*sorted(set(there) - needed - {"pip", "setuptools", "wheel", "uv"}), sep="\n")
PY
echo "=npm"
command -v npm >/dev/null && npm ls --global --depth=0 --parseable --long 2>/dev/null |
    sed -n 's/^[^:]*:\(@\{0,1\}[^@:]*@[^:]*\).*/\1/p' | grep -v -e '^npm@' -e '^corepack@' -e '^lib@'
exit 0
