# Runs inside an image: what is in it, a section a package manager, "name<TAB>version" a line.
echo "=debian"
command -v dpkg-query >/dev/null && dpkg-query -W -f '${Package}\t${Version}\n' 2>/dev/null
echo "=python"
command -v python3 >/dev/null && python3 - <<'PY' 2>/dev/null
from importlib.metadata import distributions
for name, version in sorted({(d.metadata["Name"], d.version) for d in distributions() if d.metadata["Name"]}):
    print(name, version, sep="\t")
PY
echo "=r"
command -v Rscript >/dev/null && Rscript --vanilla -e 'p <- installed.packages()[, c("Package", "Version")]; write.table(p, sep = "\t", quote = FALSE, row.names = FALSE, col.names = FALSE)' 2>/dev/null
echo "=npm"
command -v npm >/dev/null && npm ls --global --depth=0 --parseable --long 2>/dev/null | sed -n 's/^[^:]*:\(@\{0,1\}[^@:]*\)@\([^:]*\).*/\1\t\2/p'
exit 0
