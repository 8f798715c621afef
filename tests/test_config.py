"""Settings and region files: what is wrong is said with the file, the key and the reason."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from adapter.config import DirectoryMailboxSettings, Settings, load, load_region
from adapter.config.soundness import contradictions, missing_folders, unreadable_files
from adapter.discharge.agreement import agreement
from adapter.errors import ConfigurationError
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, ReceiptWhen, Register, Side
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
    for name in os.environ:
        if name.startswith("DISCHARGE_ADAPTER_"):
            monkeypatch.delenv(name)


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


OIDC = "[oidc]\nissuer = 'https://idp.example'\nclient_id = 'adapter'\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('endpoint = "sogndal"\n[[', 'endpoint = "sogndahl"\n[['), "endpoint = 'sogndahl' names nothing"),
        (('kind = "municipality"', 'kind = "munisipality"'), "kind = 'munisipality' is not one of hospital"),
        (('kind = "municipality"', 'kind = "municipality"\nside = "hers"'), "side = 'hers'"),
        (('kind = "municipality"', 'kind = "municipality"\nside = "theirs"\nhosted_by = "x"'), "hosted_by"),
        (('kind = "municipality"', 'kind = "municipality"\nsuccesor = "x"'), "succesor"),
        (('kind = "municipality"', 'kind = "municipality"\nreceipt = "read"'), "receipt = 'read'"),
        (
            ('kind = "municipality"', 'kind = "municipality"\nvalid_from = "soon"'),
            "[[party]] id = 'sogndal': valid_from: must be a day, as 2024-03-01",
        ),
        (("HER|81.43.550", "81.43.550"), "must be SYSTEM|VALUE"),
        (('transport = "fhir"', 'transport = "pigeon"'), "transport = 'pigeon'"),
        (('dialect = "fhir"', 'dialect = "edifact"'), "dialect = 'edifact'"),
        (('dialect = "fhir"', 'dialect = "fhir"\nconcurrency = 0'), "concurrency"),
        (('name = "Indre Sogn"', 'name = "Indre Sogn'), "not valid TOML"),
        (('name = "Indre Sogn"', 'nam = "Indre Sogn"'), "name: is missing; it has no default"),
        (("127.0.0.1", "${NOT_SET_HERE}"), "NOT_SET_HERE is not set"),
    ],
)
def test_a_region_file_that_is_wrong_says_where(tmp_path: Path, change: tuple[str, str], words: str):
    text = SOGNDAL.replace(*change, 1)
    assert text != SOGNDAL
    assert words in wrong(tmp_path, text)


HASH = "f" * 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("http://127.0.0.1:1/", "127.0.0.1:1/"),
            "[[endpoint]] name = 'sogndal': address must be an http://",
        ),
        (("http://127.0.0.1:1/", "http://127.0.0.1:x/"), "address must be an http://"),
        (('transport = "fhir"', 'transport = "directory"'), "address must be a folder with in/ and out/"),
        (
            ('dialect = "fhir"', 'dialect = "fhir"\ntimeout = 0'),
            "name = 'sogndal': timeout: must be more than 0",
        ),
        (('dialect = "fhir"', 'dialect = "fhir"\nconcurrency = -1'), "concurrency: must be at least 1"),
        (
            ('dialect = "fhir"', 'dialect = "fhir"\nreceipt_within = 0'),
            "receipt_within: must be more than 0 seconds",
        ),
        (("kind =", 'hosted_by = "sogndal"\nkind ='), "id = 'sogndal': hosted_by names the party itself"),
        (("kind =", 'successor = "sogndal"\nkind ='), "id = 'sogndal': successor names the party itself"),
        (("kind =", 'successor = "luster"\nkind ='), "successor = 'luster' names nothing in this file"),
        (
            ("kind =", "valid_from = 2020-01-01\nvalid_to = 2019-12-31\nkind ="),
            "valid_to = 2019-12-31 is before valid_from = 2020-01-01",
        ),
        (("kind =", 'service = [{name = "pleie"}]\nkind ='), "[[service]] name = 'pleie': role: is missing"),
    ],
)
def test_a_region_that_could_not_deliver_is_refused(tmp_path: Path, change: tuple[str, str], words: str):
    assert words in wrong(tmp_path, SOGNDAL.replace(*change, 1))


@pytest.mark.parametrize("key", ["token_sha256", "certificate_sha256"])
def test_a_hash_is_64_hex_digits_in_letters_of_either_size(tmp_path: Path, key: str):
    partner = f'[[partner]]\nname = "drift"\nparties = ["sogndal"]\n{key} = '
    for hashed in ("geheim", HASH[1:], f"{HASH}0", "g" * 64):
        said = wrong(tmp_path, f'{SOGNDAL}{partner}"{hashed}"\n')
        assert f"[[partner]] name = 'drift': {key}: must be a SHA-256 as 64 hex digits" in said
        assert hashed not in said
    (tmp_path / "region.toml").write_text(f'{SOGNDAL}{partner}"{HASH.upper()}"\n')
    (found,) = load_region(tmp_path / "region.toml").register_.partners
    assert getattr(found, key) == HASH


def test_a_party_of_ours_that_nobody_is_said_to_read_for_is_warned_of(tmp_path: Path):
    file = tmp_path / "region.toml"
    lms = '[[party]]\nid = "lms"\nname = "LMS"\nkind = "municipal-acute-bed"\n'
    for more, warned in (("", ["lms"]), ('receipt = "stored"\n', []), ('hosted_by = "sogndal"\n', [])):
        file.write_text(SOGNDAL + lms + more)
        region = load_region(file)
        assert list(region.unread) == warned
        assert ["id = 'lms': has neither an endpoint nor" in w for w in region.warnings] == [True] * len(
            warned
        )


def test_a_lease_outlasts_every_time_out(tmp_path: Path):
    (tmp_path / "region.toml").write_text(f"{SOGNDAL}timeout = 25\n")
    register = load_region(tmp_path / "region.toml").register_
    assert contradictions(Settings(lease=timedelta(seconds=31)), register) == []
    (said,) = contradictions(Settings(lease=timedelta(seconds=30)), register)
    assert said.endswith(
        "[[endpoint]] name = 'sogndal': timeout = 25: the setting lease = PT30S must be more than 5 s "
        "longer; lengthen it, or shorten the time-out"
    )


def test_two_mailboxes_of_one_name_are_an_error(tmp_path: Path):
    mailbox = DirectoryMailboxSettings(name="vik", address=tmp_path)
    (said,) = contradictions(Settings(directory_mailboxes=(mailbox, mailbox)), Register())
    assert said == "mailbox 'vik': another mailbox or directory endpoint has that name; choose another"


def test_files_and_folders_that_are_not_there_are_found(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "drift" / "in").mkdir(parents=True)
    endpoint = Endpoint(
        name="vik", transport="directory", address=str(tmp_path / "drift"), dialect="plo-1.6",
        client_certificate=(str(tmp_path / "ca.pem"), "gone.pem"), trust="gone.pem",
    )  # fmt: skip
    register = Register(endpoints=(endpoint,))
    settings = Settings(directory_mailboxes=(DirectoryMailboxSettings(name="luster", address=tmp_path),))
    assert unreadable_files(settings, register) == [
        "endpoint vik: client_key: the file gone.pem cannot be read",
        "endpoint vik: trust: the file gone.pem cannot be read",
    ]
    assert [found.partition(" does")[0] for found in missing_folders(settings, register)] == [
        f"endpoint vik: the folder {tmp_path}/drift/out",
        f"mailbox luster: the folder {tmp_path}/in",
    ]


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
    assert "[[partner]] name = 'drift': parties: must be a list" in said


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
        ("prot = 8425", "prot: is not a setting; is it misspelt?"),
        ("[retention]\npayload = 'P1D'", "retention.payload"),
        ("port = ", "not valid TOML"),
    ],
)
def test_settings_that_are_wrong_say_which_key(tmp_path: Path, text: str, words: str):
    assert words in wrong(tmp_path, text, "settings")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 65536", "port: must be at most 65535"),
        ("port = -1", "port: must be at least 0"),
        ("max_message_bytes = 0", "max_message_bytes: must be more than 0"),
        ("lease = 0", "lease: must be more than 0 seconds"),
        ("lease = -60", "lease: must be more than 0 seconds"),
        ("lease = 'long'", "lease: must be a duration"),
        ("clock_tolerance = -1", "clock_tolerance: must be at least 0 seconds"),
        ("answer_within = 0", "answer_within: must be more than 0 seconds"),
        ("store = 'foo'", "store: must be sqlite:///FILE"),
        ("store = 'sqlite://'", "store: must be sqlite:///FILE"),
        ("alarm_webhook = 'ftp://geheim'", "alarm_webhook: must be an http:// or https:// URL"),
        ("[retry]\ndelays = []", "retry.delays: must not be empty"),
        ("[retry]\ndelays = ['PT1S', 0]", "retry.delays.number 2: must be more than 0 seconds"),
        ("[retry]\ngive_up_after = 0", "retry.give_up_after: must be more than 0 seconds"),
        ("[retry]\njitter = 1", "retry.jitter: must be less than 1"),
        ("[retry]\njitter = -0.1", "retry.jitter: must be at least 0"),
        ("[retention]\npayloads = -1", "retention.payloads: must be more than 0 seconds"),
        ("[[operators]]\nname = 'marta'", "operators: is not a setting; is it misspelt?"),
        ("emergency_access = 0", "emergency_access: must be more than 0 seconds"),
        ("[sessions]\nidle = 0", "sessions.idle: must be more than 0 seconds"),
        ("[oidc]\nclient_id = 'a'\nclient_secret = 'geheim'", "oidc.issuer: is missing"),
        ("[oidc]\nissuer = 'http://idp.example'", "oidc.issuer: must be an https:// URL"),
        (f"{OIDC}", "oidc: needs client_secret or key, and not both"),
        (
            f"{OIDC}client_secret = 'geheim'\nkey = 'key.pem'",
            "oidc: needs client_secret or key, and not both",
        ),
        (f"{OIDC}client_secret = 'geheim'", "[oidc] needs public_url"),
        (f"{OIDC}client_secret = 'geheim'\nscopes = ['profile']", 'oidc.scopes: must hold "openid"'),
        (f"{OIDC}client_secret = 'geheim'\nalgorithms = ['none']", "oidc.algorithms: must be some of RS256"),
        (f"{OIDC}client_secret = 'geheim'\nalgorithms = ['HS256']", "oidc.algorithms: must be some of RS256"),
        ("[[fhir_mailboxes]]\nname = 'vik'\naddress = 'vik'", "name = 'vik': address: must be an http://"),
        (
            "[[fhir_mailboxes]]\nname = 'vik'\naddress = 'http://vik.example'\ntimeout = 0",
            "name = 'vik': timeout: must be more than 0",
        ),
        (
            "[[directory_mailboxes]]\nname = 'vik'\naddress = '/in'\nevery = 0",
            "name = 'vik': every: must be more than 0 seconds",
        ),
    ],
)
def test_a_setting_that_would_stop_something_silently_is_refused(tmp_path: Path, text: str, words: str):
    said = wrong(tmp_path, text, "settings")
    assert words in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PROT", "8425", "DISCHARGE_ADAPTER_PROT: is not a setting; is it misspelt?"),
        ("RETRY__DELAY", "1", "DISCHARGE_ADAPTER_RETRY__DELAY: is not a setting; is it misspelt?"),
        ("PORT__HIGH", "1", "DISCHARGE_ADAPTER_PORT__HIGH: is not a setting; is it misspelt?"),
        ("PORT", "99999", "DISCHARGE_ADAPTER_PORT: must be at most 65535"),
        ("RETRY__JITTER", "2", "DISCHARGE_ADAPTER_RETRY__JITTER: must be less than 1"),
        (
            "DIRECTORY_MAILBOXES",
            "geheim",
            "DISCHARGE_ADAPTER_DIRECTORY_MAILBOXES: a list or a table must be written as JSON",
        ),
    ],
)
def test_a_variable_that_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
):
    (tmp_path / "adapter.toml").write_text("port = 1\n")
    monkeypatch.setenv(f"DISCHARGE_ADAPTER_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert str(caught.value) == f"the environment: {words}"


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


ACCORD = """
[[accord]]
name = "Samarbeidsavtale Sogn 2014"
between = ["laerdal-sjukehus", "sogndal"]
valid_from = 2014-01-01
valid_to = 2015-12-31
terms = { answer_within = "PT4H", grace = "PT24H" }
"""


def test_what_parties_have_agreed_on_stands_in_the_region_file(tmp_path):
    file = tmp_path / "region.toml"
    file.write_text(REGION.read_text() + ACCORD)
    (accord,) = load_region(file).accords
    assert (accord.name, accord.between) == (
        "Samarbeidsavtale Sogn 2014",
        {"laerdal-sjukehus", "sogndal"},
    )
    assert accord.terms == {"answer_within": "PT4H", "grace": "PT24H"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"sogndal"]', '"mars"]', "between names 'mars', which is not in this file"),
        ("answer_within", "answer_in", "term 'answer_in': no such term"),
        ('"PT4H"', '"four hours"', "term 'answer_within' (answer): duration: 'four hours' is no duration"),
        ("2015-12-31", "2013-12-31", "valid_to: 2013-12-31 is before valid_from"),
        ("valid_to", "valid_until", "valid_until"),
    ],
)
def test_a_wrong_accord_is_told_with_file_and_key(tmp_path, old, new, said):
    file = tmp_path / "region.toml"
    assert old in ACCORD
    file.write_text(REGION.read_text() + ACCORD.replace(old, new))
    with pytest.raises(ConfigurationError) as error:
        load_region(file)
    assert str(file) in str(error.value)
    assert said in str(error.value)


def test_a_region_sets_what_a_readmission_is_between_its_parties(tmp_path):
    terms = 'terms = { readmission = { earliest = "PT12H", acute_only = false } }'
    file = tmp_path / "region.toml"
    old = 'terms = { answer_within = "PT4H", grace = "PT24H" }'
    assert old in ACCORD
    file.write_text(REGION.read_text() + ACCORD.replace(old, terms))
    known = load_region(file)
    found = agreement("norway", accords=known.accords).readmission(
        ("laerdal-sjukehus", "sogndal"), date(2014, 3, 1)
    )
    assert found is not None
    assert (found.earliest, found.latest, found.acute_only) == (
        timedelta(hours=12),
        timedelta(days=30),
        False,
    )
    file.write_text(file.read_text().replace('earliest = "PT12H"', 'earliest = "12"'))
    with pytest.raises(ConfigurationError) as error:
        load_region(file)
    assert str(file) in str(error.value)
    assert "term 'readmission': earliest: '12' is no duration" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "Vik kommune"', 'name = "V\\u0000ik"', "name: holds U+0000, which cannot be shown"),
        ('title = "Hoftebrot"', 'title = "\\u202eHofte"', "title: holds U+202E"),
        ('basis = "Helsefellesskapet', 'basis = "\\u001b[2J', "basis: holds U+001B"),
    ],
)
def test_what_no_page_can_show_is_told_with_file_entry_and_key(tmp_path, old, new, said):
    file = tmp_path / "region.toml"
    text = REGION.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError) as error:
        load_region(file)
    assert str(error.value).startswith(f"{file}: ")
    assert said in str(error.value)
