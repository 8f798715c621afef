"""The operator's folder of schemas: what it may hold and read, and what is said where it is wrong."""

import os
import threading
from pathlib import Path

import pytest
from lxml import etree
from pytest_httpserver import HTTPServer

from adapter.config import load
from adapter.config.norway import NorwaySettings
from adapter.config.schemas import SchemaFolder
from adapter.errors import ConfigurationError
from adapter.mappings.kith.schemas import STANDARDS
from tests.schemas import APPREC, HEAD, LOGISTICS, XS, folder

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")


def importing(location: str) -> str:
    return (
        f'<xs:schema {XS} targetNamespace="{APPREC}" xmlns:o="urn:other">'
        f'<xs:import namespace="urn:other" schemaLocation="{location}"/>'
        '<xs:element name="AppRec" type="o:Whatever"/></xs:schema>'
    )


OTHER = f'<xs:schema {XS} targetNamespace="urn:other"><xs:complexType name="Whatever"/></xs:schema>'


def wrong(at: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        SchemaFolder(at).compile()
    return str(caught.value)


def test_a_schema_is_found_by_its_namespace_whatever_its_file_is_called(tmp_path: Path) -> None:
    folder(tmp_path, **{"en fil med ø": importing("delt%20fil.xsd"), "delt fil": OTHER, "apprec": OTHER})
    schemas = SchemaFolder(tmp_path)
    assert schemas.held(APPREC, etree.fromstring(f'<AppRec xmlns="{APPREC}"/>')) == ()
    assert schemas.held(APPREC, etree.fromstring(f'<AppRec xmlns="{APPREC}">text</AppRec>'))
    assert schemas.held("urn:unknown", etree.fromstring("<x/>")) is None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no folder .*nowhere"):
        SchemaFolder(tmp_path / "nowhere")


def test_a_folder_without_the_schema_of_the_envelope_is_told(tmp_path: Path) -> None:
    assert "no schema of MsgHead 1.2" in wrong(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<xs:schema", "apprec.xsd cannot be used: "),
        ("<html/>", "it is no XML schema"),
        (
            f'<xs:schema {XS} targetNamespace="{APPREC}"><xs:element name="A" type="none"/></xs:schema>',
            "line 1",
        ),
        (importing("gone.xsd"), "it reads gone.xsd: No such file"),
        (importing("head.xsd"), "apprec.xsd, line 1"),
    ],
    ids=["not-well-formed", "no-schema", "does-not-compile", "import-is-missing", "import-of-something-else"],
)
def test_a_schema_that_cannot_be_used_is_named_with_its_reason(tmp_path: Path, text: str, said: str) -> None:
    told = wrong(folder(tmp_path, apprec=text))
    assert told.startswith(f"[norway] schemas: {tmp_path / 'apprec.xsd'} cannot be used: ")
    assert said in told


@pytest.mark.parametrize("way", ["../outside.xsd", "below/inside.xsd", "{absolute}", "file://{absolute}"])
def test_a_schema_reads_nothing_of_another_folder(tmp_path: Path, way: str) -> None:
    for other in (tmp_path / "outside.xsd", tmp_path / "schemas" / "below" / "inside.xsd"):
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(OTHER)
    location = way.format(absolute=tmp_path / "outside.xsd")
    told = wrong(folder(tmp_path / "schemas", apprec=importing(location)))
    assert "which is not in this folder; put all files side by side" in told


def test_a_schema_reads_nothing_from_the_network(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/other.xsd").respond_with_data(OTHER)
    told = wrong(folder(tmp_path, apprec=importing(httpserver.url_for("/other.xsd"))))
    assert "which is not in this folder" in told
    assert httpserver.log == []


def test_no_dtd_is_loaded_and_no_entity_from_elsewhere(tmp_path: Path, httpserver: HTTPServer) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    dtd = f'<!DOCTYPE schema SYSTEM "{httpserver.url_for("/a.dtd")}">'
    at = folder(tmp_path / "schemas", apprec=dtd + importing("other.xsd"), other=OTHER)
    SchemaFolder(at).compile()
    entity = f'<!DOCTYPE schema [<!ENTITY e SYSTEM "{tmp_path}/secret.txt">]>'
    inside = importing("other.xsd").replace("</xs:schema>", "<xs:annotation>&e;</xs:annotation></xs:schema>")
    imported = OTHER.replace("</xs:schema>", "<xs:annotation>&e;</xs:annotation></xs:schema>")
    for files in ({"apprec": entity + inside, "other": OTHER}, {"other": entity + imported}):
        folder(at, **({"apprec": importing("other.xsd")} | files))
        try:
            SchemaFolder(at).compile()
        except ConfigurationError as error:
            assert "secret\n" not in str(error)  # either way will do, but nothing is read
    assert httpserver.log == []


def of_apprec(inside: str) -> str:
    return f'<xs:schema {XS} targetNamespace="{APPREC}" xmlns="{APPREC}">{inside}</xs:schema>'


def test_two_files_for_one_standard_are_told_and_one_that_includes_the_other_is_not(tmp_path: Path) -> None:
    part = of_apprec('<xs:simpleType name="T"><xs:restriction base="xs:string"/></xs:simpleType>')
    assert "apprec.xsd and part.xsd are both for" in wrong(folder(tmp_path, part=part))
    whole = of_apprec('<xs:include schemaLocation="part.xsd"/><xs:element name="AppRec" type="T"/>')
    schemas = SchemaFolder(folder(tmp_path, part=part, apprec=whole))
    assert schemas.held(APPREC, etree.fromstring(f'<AppRec xmlns="{APPREC}">text</AppRec>')) == ()


def test_what_is_of_no_standard_that_we_know_is_not_compiled(tmp_path: Path) -> None:
    broken = (
        f'<xs:schema {XS} targetNamespace="urn:calendar"><xs:include schemaLocation="gone.xsd"/></xs:schema>'
    )
    SchemaFolder(folder(tmp_path, calendar=broken)).compile()


def test_nothing_is_read_before_it_is_needed_and_nothing_twice(tmp_path: Path) -> None:
    at = folder(tmp_path)
    schemas = SchemaFolder(at)
    (at / "apprec.xsd").write_text(importing("gone.xsd"))
    assert schemas.held(HEAD, etree.fromstring(f'<MsgHead xmlns="{HEAD}"/>'))
    with pytest.raises(ConfigurationError, match=r"gone\.xsd"):
        schemas.held(APPREC, etree.fromstring(f'<AppRec xmlns="{APPREC}"/>'))
    for file in at.iterdir():
        file.unlink()
    assert schemas.held(HEAD, etree.fromstring(f'<MsgHead xmlns="{HEAD}"/>'))


def test_threads_get_each_their_own_errors(tmp_path: Path) -> None:
    schemas = SchemaFolder(folder(tmp_path))
    odd: list[int] = []

    def look(number: int) -> None:
        element = etree.fromstring("\n" * number + f'<MsgHead xmlns="{HEAD}"/>')
        for _ in range(200):
            found = schemas.held(HEAD, element)
            if found is None or [entry.line for entry in found] != [number + 1]:
                odd.append(number)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert odd == []


def test_it_says_which_standards_it_covers(tmp_path: Path) -> None:
    covered, missing = SchemaFolder(folder(tmp_path)).coverage()
    assert covered == ["MsgHead 1.2", "AppRec 1.1"]
    assert "PLO 1.6" in missing  # Pasientlogistikk alone is not all of it
    assert LOGISTICS in STANDARDS["PLO 1.6"]


def test_the_folder_is_a_setting_of_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "adapter.toml"
    file.write_text('[norway]\nschemas = "xsd"\nschema_errors = "refuse"\n')
    assert load(file).norway.schemas == tmp_path / "xsd"
    assert load(file).norway.schema_errors == "refuse"
    monkeypatch.setenv("DISCHARGE_ADAPTER_NORWAY__SCHEMAS", str(tmp_path / "others"))
    assert load(file).norway.schemas == tmp_path / "others"
    assert (NorwaySettings().schema_errors, NorwaySettings().schemas) == ("warn", None)
    monkeypatch.delenv("DISCHARGE_ADAPTER_NORWAY__SCHEMAS")
    file.write_text('[norway]\nschema_errors = "ignore"\n')
    with pytest.raises(ConfigurationError, match="schema_errors"):
        load(file)


if SAMPLES:

    def test_the_official_schemas_cover_every_standard() -> None:
        schemas = SchemaFolder(Path(SAMPLES or "") / "norway" / "xsd")
        schemas.compile()
        assert schemas.coverage() == (list(STANDARDS), [])
