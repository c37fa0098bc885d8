# Compiled, packed and run from the archive.
set -eu
out=$(mktemp -d)
javac -d "$out/classes" Sum.java
jar --create --file "$out/sum.jar" --main-class Sum -C "$out/classes" .
java -jar "$out/sum.jar"
