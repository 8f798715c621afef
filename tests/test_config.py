"""Settings and region files: what is wrong is said with the file, the key and the reason."""

from datetime import timedelta
from pathlib import Path

import pytest

from adapter.config import Settings, load, load_region
from adapter.errors import ConfigurationError
from adapter.messaging.envelope import HER
from adapter.messaging.register import ReceiptWhen, Side
from tests.stage import REGION

SOGNDAL = """
name = "Indre Sogn"
[[party]]
id = "sogndal"
name = "Sogndal kommune"
kind = "municipality"
identifiers = ["HER|81.43.550"]
endpoint = "sogndal"
[[endpoint]]
name = "sogndal"
transport = "fhir"
address = "http://127.0.0.1:1/fhir/$process-message"
dialect = "fhir"
"""


def wrong(folder: Path, text: str | bytes, what: str = "region") -> str:
    file = folder / f"{what}.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        load_region(file) if what == "region" else load(file)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings file of the developer's, and none of the environment's."""
    monkeypatch.chdir(tmp_path)


def test_the_region_of_the_project_is_understood():
    register = load_region(REGION).register_
    assert len([p for p in register.parties if p.kind == "municipality"]) == 7
    aardal = register.party("aardal")
    assert aardal is not None
    assert (aardal.side, register.endpoint_of(aardal).dialect) == (Side.THEIRS, "plo-1.6")
    sjukehus = register.party("laerdal-sjukehus")
    assert sjukehus is not None
    assert sjukehus.receipt is ReceiptWhen.DELIVERED


def test_a_her_id_may_be_written_with_dots(tmp_path: Path):
    file = tmp_path / "region.toml"
    file.write_text(SOGNDAL)
    assert load_region(file).register_.parties[0].identifiers == ((HER, "8143550"),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('endpoint = "sogndal"\n[[', 'endpoint = "sogndahl"\n[['), "endpoint = 'sogndahl' names nothing"),
        (('kind = "municipality"', 'kind = "munisipality"'), "kind = 'munisipality' is not one of hospital"),
        (('kind = "municipality"', 'kind = "municipality"\nside = "hers"'), "side = 'hers'"),
        (('kind = "municipality"', 'kind = "municipality"\nside = "theirs"\nhosted_by = "x"'), "hosted_by"),
        (('kind = "municipality"', 'kind = "municipality"\nsuccesor = "x"'), "succesor"),
        (('kind = "municipality"', 'kind = "municipality"\nreceipt = "read"'), "receipt = 'read'"),
        (('kind = "municipality"', 'kind = "municipality"\nvalid_from = "soon"'), "party.0.valid_from"),
        (("HER|81.43.550", "81.43.550"), "must be SYSTEM|VALUE"),
        (('transport = "fhir"', 'transport = "pigeon"'), "transport = 'pigeon'"),
        (('dialect = "fhir"', 'dialect = "edifact"'), "dialect = 'edifact'"),
        (('dialect = "fhir"', 'dialect = "fhir"\nconcurrency = 0'), "concurrency"),
        (('name = "Indre Sogn"', 'name = "Indre Sogn'), "not valid TOML"),
        (('name = "Indre Sogn"', 'nam = "Indre Sogn"'), "name: Field required"),
        (("127.0.0.1", "${NOT_SET_HERE}"), "NOT_SET_HERE is not set"),
    ],
)
def test_a_region_file_that_is_wrong_says_where(tmp_path: Path, change: tuple[str, str], words: str):
    text = SOGNDAL.replace(*change, 1)
    assert text != SOGNDAL
    assert words in wrong(tmp_path, text)


def test_what_is_there_twice_is_an_error(tmp_path: Path):
    second = SOGNDAL.split("[[endpoint]]", maxsplit=1)[0].replace('name = "Indre Sogn"', "")
    assert "two [[party]] entries are called 'sogndal'" in wrong(tmp_path, SOGNDAL + second)
    other = second.replace('id = "sogndal"', 'id = "luster"')
    assert "belongs to both 'sogndal' and 'luster'" in wrong(tmp_path, SOGNDAL + other)
    doubled = SOGNDAL + "[[endpoint]]" + SOGNDAL.split("[[endpoint]]")[1]
    assert "two [[endpoint]] entries are called 'sogndal'" in wrong(tmp_path, doubled)


def test_a_partner_needs_a_credential_and_parties_that_exist(tmp_path: Path):
    said = wrong(tmp_path, SOGNDAL + '[[partner]]\nname = "drift"\nparties = ["sogndal", "vik"]\n')
    assert "parties names 'vik'" in said
    assert "needs token_sha256 or certificate_sha256" in said


def test_a_secret_is_never_repeated(tmp_path: Path):
    said = wrong(tmp_path, SOGNDAL + '[[partner]]\nname = "drift"\nparties = "hemmelig"\ntoken_sha256 = 5\n')
    assert "hemmelig" not in said
    assert "partner.0.parties" in said


def test_another_encoding_is_named(tmp_path: Path):
    latin = SOGNDAL.replace("Sogndal kommune", "Lærdal kommune").encode("latin-1")
    assert "UTF-8" in wrong(tmp_path, latin)
    assert "UTF-8" in wrong(tmp_path, 'host = "Lærdal"'.encode("latin-1"), "settings")


def test_a_region_file_that_is_not_there_says_so(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"gone.toml"):
        load_region(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 'many'", "port: "),
        ("prot = 8425", "prot: Extra inputs"),
        ("[retention]\npayload = 'P1D'", "retention.payload"),
        ("port = ", "not valid TOML"),
    ],
)
def test_settings_that_are_wrong_say_which_key(tmp_path: Path, text: str, words: str):
    assert words in wrong(tmp_path, text, "settings")


def test_the_environment_is_over_the_file_and_the_arguments_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "adapter.toml"
    file.write_text('port = 1\nhost = "127.0.0.2"\nlease = "PT30S"\n[retention]\npayloads = "P10D"\n')
    monkeypatch.setenv("DISCHARGE_ADAPTER_PORT", "2")
    settings = load()
    assert (settings.port, settings.host, settings.lease) == (2, "127.0.0.2", timedelta(seconds=30))
    assert settings.retention.payloads == timedelta(days=10)
    assert load(file, port=3).port == 3
    assert not settings.loopback


def test_without_a_file_there_are_defaults():
    settings = load()
    assert (settings.region, settings.loopback) == (None, True)
    assert Settings().retry.schedule().give_up_after == timedelta(hours=72)


def test_a_region_is_found_beside_the_settings_file(tmp_path: Path):
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "adapter.toml").write_text('region = "region.toml"')
    assert load(folder / "adapter.toml").region == folder / "region.toml"
    with pytest.raises(ConfigurationError, match="no such settings file"):
        load(tmp_path / "other.toml")
