"""The catalogs of the law's sentences and of the words of the pages, a folder for each part.

What the code says is found in it: in templates the sentences of `_()`, `words.of`, `say.of`, `.marked` and
`.count`, in Python the same calls, the labels of links, and what `_TOLD` and `_KEYED` name. A module or
template folder belongs to the part that `PLACES` gives; the rest is of operations.

After a change to a .po file: `python -m tests.catalogs`.
"""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from adapter import tongues
from adapter.web.words import PARTS

DATED = datetime(2026, 11, 25, tzinfo=UTC)
_ADAPTER = Path(__file__).parent.parent / "adapter"
LOCALES = _ADAPTER / "discharge" / "locales"
PAGE_LOCALES = _ADAPTER / "web" / "locales"
TOLD_LOCALES = _ADAPTER / "locales"
PLAN_LOCALES = PAGE_LOCALES / "plan"

PLACES: dict[str, str] = {
    "words.py": "frame",
    "site.py": "frame",
    "pages.py": "frame",
    **dict.fromkeys(
        ("signing_in.py", "sign_in.py", "entrance.py", "looking.py", "oidc.py", "lifting.py"), "access"
    ),
    **dict.fromkeys(("passwords.py", "sessions.py"), "access"),
    "first_notice.py": "acting",
    "listed.py": "boards",
    "pictures.py": "figures",
    **dict.fromkeys(("asking.py", "by_hand.py", "comparing.py", "many.py", "operations.py"), "desk"),
    "templates/base.html": "frame",
    "templates/problem.html": "frame",
    **{f"templates/{part}/": part for part in PARTS},
    **{f"{part}/": part for part in PARTS},
    "templates/operations/": "desk",
    **dict.fromkeys(("asking.py", "operations.py", "by_hand.py", "many.py", "comparing.py"), "desk"),
}
"""By file or folder of `adapter/web`: the part whose catalogs have its sentences.

A module that begins with the name of a part, as `stay_seen.py`, needs no line; the rest is of operations.
"""

WRITERS: dict[str, str] = {
    "fhir/": "lingua",
    "mappings/kith/": "logistics",
    **dict.fromkeys(
        (
            "mappings/", "mappings/kith/dialogue", "mappings/kith/epikrise", "mappings/kith/record",
            "mappings/kith/reports", "mappings/kith/xhtml",
        ),
        "documents",
    ),
    "messaging/": "post",
    **dict.fromkeys(("messaging/alarm_words", "messaging/letters", "telling", "tongues"), "letters"),
    "transport/": "post",
    **dict.fromkeys(
        (
            "inbox", "incoming", "judging", "answers", "duplicates", "relevance", "twins", "copies",
            "originals", "relay", "readers", "reissuing", "plans", "shelves", "lanes", "speaking",
            "classifying", "telephoning", "reserve_routine", "closing", "cases", "reports", "awaiting",
            "stays",
        ),
        "taking",
    ),
}  # fmt: skip
"""By how a module's name under `adapter` begins, beside `web`: the part with the phrases that it makes.

The longest beginning counts; what none fits is `keeping`'s.
"""

_ELSEWHERE = ("plan_", "templates/plan", "pdf.py")  # a plan's pages have catalogs of their own
_SAYING = {"of", "marked", "_", "phrase"}
_TOLD = {"CONFIDENCE", "_CUT"}  # names of sentences, or of mappings to them
_KEYED = {"_as_text", "_cut"}  # functions that are given sentences, to be said later
Key = str | tuple[str, str]


def folder_of(part: str) -> Path:
    """Where the catalogs of a part are."""
    return (TOLD_LOCALES if part in tongues.PARTS else PAGE_LOCALES) / part


def catalog(language: str, folder: Path = LOCALES) -> Catalog:
    """The catalog of a language, as its file has it."""
    return read_po(BytesIO((folder / f"{language}.po").read_bytes()), locale=language)


def compiled(language: str, folder: Path = LOCALES) -> bytes:
    """What gettext reads at run time."""
    made, written = catalog(language, folder), BytesIO()
    made.creation_date = made.revision_date = DATED
    write_mo(written, made)
    return written.getvalue()


# --- what the code says -----------------------------------------------------------------------------------


def part_of(file: Path) -> str | None:
    """The part to which a module or template belongs; None where it has catalogs of another kind."""
    name = file.relative_to(_ADAPTER / "web").as_posix()
    if name.startswith(_ELSEWHERE):
        return None
    found = [place for place in PLACES if name == place or (place.endswith("/") and name.startswith(place))]
    if found:
        return PLACES[max(found, key=len)]
    first = file.stem.split("_")[0]
    return first if file.suffix == ".py" and first in PARTS else "operations"


def sentences() -> dict[str, dict[Key, set[str]]]:
    """By part, each sentence that the code says, with the files that say it."""
    found: dict[str, dict[Key, set[str]]] = {}
    web = _ADAPTER / "web"
    for file in sorted([*web.rglob("*.py"), *(web / "templates").rglob("*.html")]):
        part = part_of(file)
        if part is None:
            continue
        said = _in_template(file) if file.suffix == ".html" else _in_module(file)
        for key in said:
            found.setdefault(part, {}).setdefault(key, set()).add(file.name)
    for key in _in_module(_ADAPTER / "discharge" / "law.py"):
        found.setdefault("operations", {}).setdefault(key, set()).add("law.py")
    for file in writers():
        for key in _phrases_in(file):
            found.setdefault(written_by(file), {}).setdefault(key, set()).add(file.name)
    return found


def writers() -> list[Path]:
    """The modules beside the pages, which make phrases for them."""
    apart = {_ADAPTER / "web", _ADAPTER / "simulator"}
    return [file for file in sorted(_ADAPTER.rglob("*.py")) if apart.isdisjoint(file.parents)]


def written_by(file: Path) -> str:
    """The part with the phrases of a module beside the pages."""
    name = file.relative_to(_ADAPTER).as_posix()
    found = [place for place in WRITERS if name.startswith(place)]
    return WRITERS[max(found, key=len)] if found else "keeping"


def _phrases_in(file: Path) -> Iterator[Key]:
    for call, texts in _phrase_calls(file):
        if call == "plural":
            yield from zip(*texts[:2], strict=False)
        else:
            yield from texts[0]


def hidden() -> list[str]:
    """Where a phrase is made of a sentence that no reading of the code can find, for any catalog."""
    files = [*writers(), *sorted((_ADAPTER / "web").rglob("*.py"))]
    return [
        f"{file.relative_to(_ADAPTER)}: {call}"
        for file in files
        if file.name != "phrases.py"
        for call, texts in _phrase_calls(file)
        if not all(texts[: 2 if call == "plural" else 1])
    ]


def _phrase_calls(file: Path) -> Iterator[tuple[str, list[list[str]]]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = dict(_constants(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="phrase" | "plural" as name), args=arguments):
                yield name, [list(_constant_texts(one, texts)) for one in arguments]
            case _:
                pass


def _in_template(file: Path) -> Iterator[Key]:
    tree = Environment(extensions=["jinja2.ext.do"], autoescape=True).parse(file.read_text(encoding="utf-8"))
    for call in tree.find_all(nodes.Call):
        match call.node:
            case nodes.Name(name=name) | nodes.Getattr(attr=name):
                texts = [list(_texts_in(one)) for one in call.args]
                yield from _keys(name, texts)
            case _:
                pass


def _texts_in(node: nodes.Expr) -> Iterator[str]:
    """The texts that an argument may be: a constant, or either end of a condition."""
    match node:
        case nodes.Const(value=str(text)):
            yield text
        case nodes.CondExpr(expr1=one, expr2=other):
            yield from _texts_in(one)
            if other is not None:
                yield from _texts_in(other)
        case _:
            pass


def _in_module(file: Path) -> Iterator[Key]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = dict(_constants(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                yield from _keys(name, [list(_constant_texts(one, texts)) for one in arguments])
                for keyword in node.keywords:
                    if (name, keyword.arg) == ("Link", "label"):
                        yield from _constant_texts(keyword.value, texts)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _TOLD:
                yield from _constant_texts(value, texts)
            case _:
                pass


def _constants(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Names that are given one or more texts, in the module or in a function."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).extend(_constant_texts(value, {}))
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for one, value in zip(names, values, strict=False):
                    if isinstance(one, ast.Name):
                        found.setdefault(one.id, []).extend(_constant_texts(value, {}))
            case _:
                pass
    yield from found.items()


def _constant_texts(node: ast.expr, texts: dict[str, list[str]]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _constant_texts(one, texts)
            yield from _constant_texts(other, texts)
        case ast.Name(id=name):
            yield from texts.get(name, ())
        case ast.Subscript(value=ast.Name(id=name)):
            yield from texts.get(name, ())
        case ast.Dict(values=values):
            for value in values:
                yield from _constant_texts(value, texts)
        case _:
            pass


def _keys(name: str, arguments: list[list[str]]) -> Iterator[Key]:
    if name in _SAYING and arguments:
        yield from arguments[0]
    elif name in ("problem", "_problem"):
        yield from (text for texts in arguments for text in texts)
    elif name in _KEYED:
        yield from (text for texts in arguments for text in texts if text.endswith("."))
    elif name in ("count", "plural") and len(arguments) >= 2:
        yield from zip(arguments[0], arguments[1], strict=False)


def places(text: str) -> set[str]:
    """The names in braces."""
    return set(re.findall(r"{(\w*)}", text))


if __name__ == "__main__":
    parts = [path for place in (PAGE_LOCALES, TOLD_LOCALES) for path in sorted(place.iterdir())]
    for folder in (LOCALES, *(path for path in parts if path.is_dir())):
        for po in folder.glob("*.po"):
            po.with_suffix(".mo").write_bytes(compiled(po.stem, folder))
