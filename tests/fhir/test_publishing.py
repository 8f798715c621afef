"""What is published is what the code says, and is valid FHIR R4."""

from importlib.resources import files
from pathlib import Path

import orjson
import pytest

from adapter.discharge.notices import NoticeKind
from adapter.fhir import shape
from adapter.fhir.bundles import EXTENSIONS
from adapter.fhir.parts import FOCUS
from adapter.fhir.publishing import (
    EXTENSION_TEXT,
    definitions,
    main,
    rendered_definitions,
    rendered_examples,
    vocabulary,
)

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "fhir"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "fhir-messages.md").read_text(encoding="utf-8")


def test_the_vocabulary_has_every_kind_in_order_and_the_receipt():
    assert list(vocabulary()) == [*(kind.value for kind in NoticeKind), "receipt"]


def test_every_extension_is_explained():
    assert set(EXTENSION_TEXT) == set(EXTENSIONS)


@pytest.mark.parametrize("name", definitions())
def test_every_definition_is_valid(name):
    shape.check(definitions()[name], name)


def test_the_committed_definitions_are_what_the_code_makes():
    folder = files("adapter.fhir").joinpath("definitions")
    committed = {item.name: item.read_bytes() for item in folder.iterdir() if item.name.endswith(".json")}
    assert committed == rendered_definitions()


def test_the_committed_examples_are_what_the_code_makes():
    rendered = rendered_examples()
    assert {name: (EXAMPLES / name).read_bytes() for name in rendered} == rendered


def test_every_message_but_the_receipt_wants_a_receipt():
    wanted = {
        made["id"]: made["responseRequired"]
        for made in definitions().values()
        if made["resourceType"] == "MessageDefinition"
    }
    assert wanted.pop("receipt") == "never"
    assert set(wanted.values()) == {"always"}


def test_extensions_declare_r4():
    versions = {made.get("fhirVersion") for made in definitions().values()} - {None}
    assert versions == {"4.0.1"}


def test_publishing_writes_both_folders(tmp_path):
    main([str(tmp_path / "definitions"), str(tmp_path / "examples")])
    system = tmp_path / "definitions" / "CodeSystem-discharge-events.json"
    assert (
        orjson.loads(system.read_bytes())["concept"][0]["designation"][0]["value"]
        == "melding om innlagt pasient"
    )
    assert (tmp_path / "examples" / "deceased" / "message.xml").exists()


@pytest.mark.parametrize("word", [*vocabulary(), *EXTENSIONS, "answers", "taken-over"])
def test_every_event_and_extension_is_documented(word):
    assert f"`{word}`" in DOCUMENT or f"CodeSystem/{word}`" in DOCUMENT


@pytest.mark.parametrize("kind", NoticeKind)
def test_the_document_names_the_resource_in_focus(kind):
    row = next(line for line in DOCUMENT.splitlines() if line.startswith("|") and f"`{kind.value}`" in line)
    assert row.endswith(f"| {FOCUS[kind]} |")
