"""Reads pages as strictly as no browser does: every element closed in order, every attribute once, every id once."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Document:
    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        return [one for one in self.elements if one.tag == tag]

    @property
    def ids(self) -> list[str]:
        return [one.attributes["id"] for one in self.elements if "id" in one.attributes]

    @property
    def addresses(self) -> list[str]:
        """All that a browser loads or follows."""
        names = ("href", "src", "action", "srcset", "poster", "data", "formaction", "style")
        return [one.attributes[name] for one in self.elements for name in names if name in one.attributes]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) < len(attrs):
            self.document.faults.append(f"{self.getpos()}: an attribute of <{tag}> stands twice")
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.document.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1].tag != tag:
            self.document.faults.append(f"{self.getpos()}: </{tag}> closes {[one.tag for one in self.open][-2:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(text: str) -> Document:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    document = reader.document
    document.faults += [f"<{one.tag}> is not closed" for one in reader.open]
    document.faults += [f"id {one} stands twice" for one in set(document.ids) if document.ids.count(one) > 1]
    if not text.startswith("<!doctype html>\n"):
        document.faults.append("no doctype")
    return document
