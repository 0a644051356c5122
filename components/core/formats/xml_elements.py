"""XML files as elements that know their line; without DTDs and entities, which can do harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from components.core.errors import InputError


class Element(ElementTree.Element):
    """An element that knows where it begins."""

    line: int = 0

    @property
    def where(self) -> str:
        """Line and tag, for messages."""
        return f"line {self.line}, <{self.tag}>"

    def all(self, path: str) -> list[Element]:
        """The elements at a path below this one."""
        return [element for element in self.findall(path) if isinstance(element, Element)]

    def value(self, path: str, default: str = "") -> str:
        """The stripped text of a child element; `default` where there is none."""
        return (self.findtext(path) or default).strip()


def parse(path: Path) -> Element:
    """The root element of a file.

    Raises:
        InputError: not there, not well-formed, or with a document type or entities.
    """
    builder = ElementTree.TreeBuilder(element_factory=Element)
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        element: Any = builder.start(tag, attributes)
        element.line = parser.CurrentLineNumber

    def refuse(*_: Any) -> None:
        raise InputError(
            f"{path}: line {parser.CurrentLineNumber}: a document type or an entity is declared, "
            "which is refused: remove it"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        with open(path, "rb") as file:
            parser.ParseFile(file)
        root: Any = builder.close()
    except expat.ExpatError as error:
        raise InputError(f"{path}: no well-formed XML: {error}") from None
    except (LookupError, ValueError) as error:
        raise InputError(f"{path}: unusable encoding: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    assert isinstance(root, Element)
    return root


def text(root: ElementTree.Element) -> str:
    """A document as indented text with its declaration."""
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'
