"""The two tables of the reports: they say what the schemas say, and the docs say what they say."""

from pathlib import Path

import pytest
from lxml import etree

from adapter.mappings.kith.dictionary import entries
from adapter.mappings.kith.grammar import DIALECTS, grammar, root_name
from adapter.mappings.kith.lists import table
from tests.mappings.official import SAMPLES

ROOTS = tuple(table("grammar")["roots"])
DOCS = Path(__file__).parents[2] / "docs" / "norwegian-reports.md"
XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest.mark.parametrize("path", list(entries()), ids="/".join)
def test_every_element_of_the_dictionary_has_a_place_in_a_message(path: tuple[str, ...]) -> None:
    newest = grammar("plo-1.6")
    assert any(newest.has(root_name(message), path) for message in ROOTS)
    words = entries()[path].words
    last = newest.typed.get(path[-1], path[-1])
    assert all(newest.has(last, word.element) for word in words)


def test_the_docs_name_every_element_of_the_dictionary_and_every_message() -> None:
    page = DOCS.read_text(encoding="utf-8")
    missing = [path for path in entries() if f"| {'/'.join(path)} |" not in page]
    assert missing == []
    assert all(f"`{message}`" in page for message in table("reports")["message"])


def test_a_new_element_takes_its_place_among_its_siblings() -> None:
    g = grammar("plo-1.6")
    root = g.payload("UTSKRIVNINGSRAPPORT")
    g.place(root, ("OpplysningerOmHjelpemidler", "FasteHjelpemidler", "Merknad")).text = "briller"
    for name in ("A00", "B00"):
        g.place(root, ("InfoMedisinskDiagnose", "MedisinskDiagnose", "Diagnosekode")).set("V", name)
    missing = g.finished(root, "00000000-0000-4000-8000-000000000001")
    assert [etree.QName(one).localname for one in root] == [
        "InfoMedisinskDiagnose",
        "OpplysningerOmHjelpemidler",
    ]
    assert len(root[0]) == 2
    assert missing == ["InformasjonOmForsendelsen", "TypeInnholdIMelding"]


def test_only_one_of_the_three_kinds_of_check_up_stands_in_each() -> None:
    g = grammar("plo-1.6")
    root = g.payload("UTSKRIVNINGSRAPPORT")
    g.place(root, ("InfoKontrolltime", "InformasjonOmTime"))
    g.place(root, ("InfoKontrolltime", "KontrolltimeBestill"))
    assert [len(one) for one in root] == [1, 1]


if SAMPLES:
    FILES = {
        "plo-1.5": (
            "poKomponent-v1.5.xsd",
            "EPJ-cave-mv.xsd",
            "EPJ-journalnotat-mv.xsd",
            "EPJ-legemiddel-mv.xsd",
        ),
        "plo-1.6": (
            "poKomponent-v1.6.xsd",
            "EPJ-cave-mv.xsd",
            "EPJ-journalnotat-mv.xsd",
            "EPJ-legemiddel-mv.xsd",
        ),
    }
    PAYLOADS = {
        "plo-1.5": (
            "HelseopplysningerVedSoknad", "Innleggelsesrapport", "TverrfagligEpikrise",
            "OrienteringOmTjenestetilbud", "MedisinskeOpplysninger", "HelseopplysningerTilLege",
        ),
        "plo-1.6": (
            "Helseopplysninger", "Innleggelsesrapport", "TverrfagligEpikrise",
            "OrienteringOmTjenestetilbud", "MedisinskeOpplysninger", "HelseopplysningerTilLege",
        ),
    }  # fmt: skip

    def told(path: Path) -> dict[str, list[tuple[str, bool, bool]]]:
        """By element of a schema: its children's name, whether it must stand there, and whether more may."""
        found = {}
        for element in etree.parse(path).getroot().findall(f"{XS}element"):
            children = []
            for child in element.iterfind(f".//{XS}element"):
                name = str(child.get("ref") or child.get("name")).rpartition(":")[2]
                held = [one.tag for one in child.iterancestors() if one is not element]
                chosen = f"{XS}choice" in held
                least = 0 if chosen else int(child.get("minOccurs", "1"))
                many = child.get("maxOccurs") == "unbounded"
                children.append((name, least > 0, many))
            found[str(element.get("name"))] = children
        return found

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_the_grammar_is_that_of_the_official_schemas(dialect: str) -> None:
        folder = Path(str(SAMPLES)) / "norway" / "xsd"
        g = grammar(dialect)
        files = [folder / name for name in FILES[dialect]]
        files += [folder / f"{name}-v{dialect.removeprefix('plo-')}.xsd" for name in PAYLOADS[dialect]]
        checked = 0
        for path in files:
            for element, children in told(path).items():
                if element not in g.elements or element == "Foresporsel":
                    continue
                ours = [(c.name, c.required, c.many) for c in g.children(element)]
                either = element == "LegemidlerAdministrertVedOverforing"  # one or more of one kind
                theirs = [(name, False, True) for name, _, _ in children] if either else children
                assert ours == theirs, element
                checked += 1
        assert checked > 60
