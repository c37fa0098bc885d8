# A notebook and a page of Markdown become PDF files.
set -eu
out=$(mktemp -d)
jupyter nbconvert --execute --to pdf --output-dir "$out" cell.ipynb
echo "notebook: $(head -c 5 "$out/cell.pdf")"
printf '# A title\n\n$$\\int_0^1 x\\,dx$$ and ä, ß, €\n' | pandoc --pdf-engine xelatex --output "$out/page.pdf"
echo "document: $(head -c 5 "$out/page.pdf")"
