"""The operator's folder with the official XSD files: found by target namespace, compiled when first needed.

Compiling all of them takes longer than a short command should (some 80 ms; one message needs 5 ms), so `run`
compiles all at its start and a command only what it needs. A schema reads files of its own folder, nothing
else: no other folder, no network, no external DTD.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from lxml import etree

from adapter.errors import ConfigurationError
from adapter.mappings.kith.schemas import HEAD, NAMESPACES, STANDARDS

_XS = "http://www.w3.org/2001/XMLSchema"
_BASE = (
    "schemas:///the/folder/"  # where the files are said to lie: `..` must lead somewhere else, and be seen
)
_LONGEST_REASON = 300


class SchemaFolder:
    """The schemas of one folder. Raises ConfigurationError where it, or a file in it, cannot be used."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigurationError(
                f"[norway] schemas: there is no folder {folder}; put the XSD files there"
            )
        self.folder = folder
        self._files: dict[str, Path] | None = None  # by namespace
        self._compiled: dict[str, etree.XMLSchema | None] = {}
        self._alone = threading.Lock()  # a compiled schema has one log of errors for all threads

    def held(self, namespace: str, element: etree._Element) -> "Sequence[etree._LogEntry] | None":
        """The errors of an element by the schema of that namespace; None where the folder has none."""
        with self._alone:
            schema = self._schema(namespace)
            if schema is None:
                return None
            if schema.validate(element):
                return ()
            log: Any = schema.error_log  # the stubs know nothing of its entries
            return tuple(log)

    def compile(self) -> None:
        """Compile every schema of a standard that we know. Raises ConfigurationError where one cannot be."""
        with self._alone:
            for namespace in sorted(self._index()):
                self._schema(namespace)

    def coverage(self) -> tuple[list[str], list[str]]:
        """The standards whose schemas are all here, and those of which one is missing."""
        with self._alone:
            there = self._index()
        whole = [name for name, needs in STANDARDS.items() if all(one in there for one in needs)]
        return whole, [name for name in STANDARDS if name not in whole]

    def _schema(self, namespace: str) -> etree.XMLSchema | None:
        if namespace not in self._compiled:
            file = self._index().get(namespace)
            self._compiled[namespace] = _compiled(file) if file is not None else None
        return self._compiled[namespace]

    def _index(self) -> dict[str, Path]:
        if self._files is None:
            self._files = _by_namespace(self.folder)
        return self._files


def _by_namespace(folder: Path) -> dict[str, Path]:
    """The file of every namespace that we know; of several, the one that includes the others."""
    found: dict[str, dict[Path, etree._Element]] = {}
    for file in sorted(folder.glob("*.xsd")):
        root = _document(file, _parser(_Folder(folder)))
        found.setdefault(root.get("targetNamespace") or "", {})[file] = root
    if HEAD not in found:
        raise ConfigurationError(
            f"[norway] schemas: {folder} has no schema of MsgHead 1.2 ({HEAD}); put all XSD files of the "
            "standards there, side by side"
        )
    return {name: _outermost(name, files) for name, files in found.items() if name in NAMESPACES}


def _outermost(namespace: str, files: dict[Path, etree._Element]) -> Path:
    included = {
        node.get("schemaLocation")
        for root in files.values()
        for tag in ("include", "redefine")
        for node in root.iterchildren(f"{{{_XS}}}{tag}")
    }
    outer = [file for file in files if file.name not in included] or list(files)
    if len(outer) > 1:
        names = " and ".join(file.name for file in outer)
        raise ConfigurationError(
            f"[norway] schemas: {outer[0].parent}: {names} are both for {namespace}; keep one"
        )
    return outer[0]


def _compiled(file: Path) -> etree.XMLSchema:
    reads = _Folder(file.parent)
    root = _document(file, _parser(reads))
    try:
        return etree.XMLSchema(root)
    except etree.XMLSchemaParseError as error:
        raise _cannot(file, reads.refused or _reason(error)) from error


def _document(file: Path, parser: etree.XMLParser) -> etree._Element:
    try:
        root = etree.fromstring(file.read_bytes(), parser, base_url=_BASE + quote(file.name))
    except OSError as error:
        raise _cannot(file, str(error.strerror)) from error
    except etree.XMLSyntaxError as error:
        raise _cannot(file, str(error.msg)) from error
    if root.tag != f"{{{_XS}}}schema":
        raise _cannot(file, "it is no XML schema")
    return root


def _parser(reads: "_Folder") -> etree.XMLParser:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    parser.resolvers.add(reads)
    return parser


class _Folder(etree.Resolver):
    """What a schema may read: files beside it. Remembers what it was first asked for and did not give."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refused: str | None = None

    def resolve(self, url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]  # the stubs know no context
        name = unquote(url.removeprefix(_BASE))
        if not url.startswith(_BASE) or "/" in name or "\\" in name:
            said = unquote(url.removeprefix("schemas:///the/").removeprefix("schemas://"))
            return self._refuse(f"it reads {said}, which is not in this folder; put all files side by side")
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            return self._refuse(f"it reads {name}: {error.strerror}; put that file beside it")
        return self.resolve_string(content, context, base_url=url)

    def _refuse(self, why: str) -> Any:
        self.refused = self.refused or why
        raise ConfigurationError(why)  # lxml keeps it to itself, and fails to read that file


def _reason(error: etree.XMLSchemaParseError) -> str:
    """The first error, with the file in which it is where that is another one."""
    log: Any = error.error_log
    first = next(iter(log), None)
    if first is None:
        return str(error)[:_LONGEST_REASON]
    return f"{unquote(first.filename.removeprefix(_BASE))}, line {first.line}: {first.message}"[
        :_LONGEST_REASON
    ]


def _cannot(file: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"[norway] schemas: {file} cannot be used: {why}")
