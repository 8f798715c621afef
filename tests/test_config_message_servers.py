"""Accounts at message servers and endpoints there: what they mean, and what is refused before all else."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.config import Settings, load, load_region
from adapter.config.soundness import contradictions, unreadable_files
from adapter.errors import ConfigurationError
from adapter.messaging.register import Register
from adapter.runtime import her_ids
from adapter.simulator.message_clients import read_client
from tests.message_servers import OURS, pem
from tests.shell import Shell

PAGE = (Path(__file__).parent.parent / "docs" / "message-server.md").read_text()
SETTINGS, ENDPOINT = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
AARDAL = """
name = "Årdal"

[[party]]
id = "aardal"
name = "Årdal kommune"
kind = "municipality"
side = "theirs"
identifiers = ["HER|81.435.20", "ENH|999999999"]
endpoint = "nhn"

[[party.service]]
role = "nursing"
identifiers = ["HER|8143521"]

[[party]]
id = "tyin"
name = "Tyin kommune"
kind = "municipality"
identifiers = ["HER|8143599"]
hosted_by = "aardal"
receipt = "stored"
"""


def settings_of(folder: Path, text: str = SETTINGS) -> Settings:
    (folder / "adapter.toml").write_text(text)
    return load(folder / "adapter.toml")


def register_of(folder: Path, endpoint: str = ENDPOINT) -> Register:
    (folder / "region.toml").write_text(AARDAL + endpoint)
    return load_region(folder / "region.toml").register_


def test_the_examples_of_the_page_fit_each_other(tmp_path: Path) -> None:
    settings, register = settings_of(tmp_path), register_of(tmp_path)
    assert contradictions(settings, register) == []
    (server,) = settings.message_servers
    assert (server.her_ids, server.every) == ((8143500, 8143501), timedelta(seconds=30))
    endpoint = register.endpoint("nhn")
    assert endpoint is not None and endpoint.address == server.address


def test_a_party_has_the_numbers_of_its_services_and_speaks_for_those_it_hosts(tmp_path: Path) -> None:
    own, spoken_for = her_ids(register_of(tmp_path), "aardal")
    assert own == {8143520, 8143521}
    assert spoken_for == {8143520, 8143521, 8143599}
    assert her_ids(Register(), "gone") == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("https://api", "http://api", "https://"),
        ("melding.nhn.no", "melding.nhn.no/?a=1", "without ?"),
        ('"plo-1.6"', '"fhir"', "takes KITH messages"),
        ('receipt_within = "PT1H"', 'token = "geheim"', "leave token and client_certificate out"),
    ],
)
def test_an_endpoint_that_could_not_be_is_refused(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    assert before in ENDPOINT
    with pytest.raises(ConfigurationError, match="nhn") as refusal:
        register_of(tmp_path, ENDPOINT.replace(before, after, 1))
    assert words in str(refusal.value) and "geheim" not in str(refusal.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("https://api", "http://api", "name = 'nhn': address: must be an https:// URL"),
        ('token_url = "https', 'token_url = "http', "name = 'nhn': token_url: must be an https:// URL"),
        ('client_id = "7a3f0f3e-helse-foerde"', "", "client_id: is missing"),
        ("8143501]", "0]", "her_ids"),
        ("her_ids", 'algorithm = "none"\nher_ids', "algorithm: must be one of RS256"),
        ("her_ids", "secret = 1\nher_ids", "is not a setting"),
        ("her_ids", "every = 0\nher_ids", "every: must be more than 0 seconds"),
        ("her_ids", 'source_system = "Årdal"\nher_ids', "source_system"),
    ],
)
def test_an_account_that_could_not_be_is_refused(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in SETTINGS
    with pytest.raises(ConfigurationError, match=r"adapter\.toml") as refusal:
        settings_of(tmp_path, SETTINGS.replace(before, after, 1))
    assert words in str(refusal.value)


def test_what_the_two_files_say_must_fit(tmp_path: Path) -> None:
    register = register_of(tmp_path)
    (said,) = contradictions(Settings(), register)
    assert "[[endpoint]] name = 'nhn': no [[message_servers]] of the settings has that address" in said
    twice = settings_of(tmp_path, SETTINGS + SETTINGS)
    assert [found.partition(";")[0] for found in contradictions(twice, register)] == [
        "two [[message_servers]] have the name 'nhn'",
        "two [[message_servers]] have the address 'https://api.hn-tjener.test.melding.nhn.no'",
        "[[message_servers]]: the mail of HER-id 8143500 is fetched twice",
        "[[message_servers]]: the mail of HER-id 8143501 is fetched twice",
    ]
    slow = register_of(tmp_path, ENDPOINT + "timeout = 20\n")
    (said,) = contradictions(settings_of(tmp_path), slow)
    assert "so that a message may take 60 s: the setting lease = PT1M" in said


def test_keys_are_tried_before_anything_waits_for_a_token(tmp_path: Path) -> None:
    file = tmp_path / "ours.pem"
    text = SETTINGS.replace("/etc/discharge-adapter/message-server.pem", str(file))
    settings = settings_of(tmp_path, text + f'dpop_key = "{tmp_path}/gone.pem"\n')
    assert unreadable_files(settings, Register()) == [
        f"message server nhn: key: the file {file} cannot be read",
        f"message server nhn: dpop_key: the file {tmp_path}/gone.pem cannot be read",
    ]
    file.write_bytes(b"geheim")
    (said,) = unreadable_files(settings_of(tmp_path, text), Register())
    assert "holds no private key that can be read" in said and "geheim" not in said
    file.write_bytes(pem(OURS))
    assert unreadable_files(settings_of(tmp_path, text), Register()) == []
    (said,) = unreadable_files(settings_of(tmp_path, text + 'algorithm = "RS256"\n'), Register())
    assert "it can with ES256" in said


# --- the server to try things out with ---------------------------------------------------------------------


@pytest.fixture
def told_to_stop() -> Iterator[None]:
    """SIGTERM, as soon as the command that runs listens to it."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}

    def stop() -> None:
        while signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("told_to_stop")
def test_a_message_server_can_be_had_from_the_command_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    done = shell("message-server", "--folder", "keys", "--port", "0", "hospital=8143500,8143501", "--json")
    assert done.status == 0
    (client,) = done.json["clients"]
    assert client["token_url"].startswith(done.json["address"])
    assert Path(client["key"]).stat().st_mode & 0o077 == 0
    made = Settings(message_servers=(client,))
    assert unreadable_files(made, Register()) == []
    again = read_client("hospital=8143500", tmp_path / "keys")
    assert again.public_key().public_numbers()
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["hospital.pem"]
    assert "[[message_servers]]" in again.lines("http://127.0.0.1:1", "http://127.0.0.1:1/token")


@pytest.mark.parametrize("text", ["hospital", "hospital=", "hospital=x", "../x=1", "hospital=0"])
def test_a_client_without_her_ids_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="write it as aardal="):
        read_client(text, tmp_path)
