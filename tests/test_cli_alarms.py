"""Setting up who is told of alarms: half a configuration is said, and a test tells whether it works."""

from pathlib import Path

import pytest

from adapter.cli.running import told_to_nobody
from adapter.config import Settings
from adapter.config.alarms import MailSettings
from tests.mail_server import PretendMailServer
from tests.shell import Shell

SOLVEIG = "solveig@sogndal.example"
CHIEF = "chief@helse.example"
WHOLE = "server = 'mail.example'\nsender = 'a@b.example'\nto = ['c@d.example']\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path).with_region()


def mail(shell: Shell, text: str, *, table: str = "mail") -> Shell:
    (shell.folder / "adapter.toml").write_text(f"region = 'region.toml'\n[{table}]\n{text}\n")
    return shell


def at(shell: Shell, server: PretendMailServer, more: str = "") -> Shell:
    return mail(
        shell,
        f"server = '127.0.0.1'\nport = {server.port}\nsecurity = 'none'\nsender = 'adapter@helse.example'\n"
        f"to = ['{SOLVEIG}']\nescalate_to = ['{CHIEF}', '{SOLVEIG}']\n{more}",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("to = ['c@d.example']", "to is set, but no server"),
        ("server = 'mail.example'", "server is set, but not sender and to"),
        (f"{WHOLE}user = 'u'", "user and password go together"),
        (f"{WHOLE}security = 'none'", "is for a server on this machine only"),
        (f"{WHOLE}security = 'ssl'", "security"),
        (WHOLE.replace("c@d.example", "Geheim <c@d.example>"), "must be a mail address"),
        (WHOLE.replace("c@d.example", "c@d.example\\nBcc: geheim"), "must be a mail address"),
        (f"{WHOLE}port = 0", "must be more than 0"),
        (f"{WHOLE}trust = '/nowhere/ca.pem'", "[mail] trust: the file /nowhere/ca.pem cannot be read"),
        (f"{WHOLE}timeout = 58", "[mail]: timeout = 58: the setting lease"),
        (f"{WHOLE}language = 'fi'", "mail.language: Input should be 'nb', 'nn', 'sv', 'da' or 'en'"),
    ],
)
def test_half_a_configuration_is_told_by_check(shell: Shell, text: str, said: str):
    done = mail(shell, text)("check")
    assert done.status in (1, 2)
    assert said in done.said + done.out.decode()
    assert "eheim" not in done.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("digest_at = '07:00:30'", "must be a time of day"),
        ("disk_free_share = 2", "disk_free_share"),
        ("window = 0", "window: must be more than"),
        ("escalate_after = { mailbx = 'PT1H' }", "no alarm is of the kind 'mailbx'"),
        ("disk = '/no/where'", "[alarms] disk: the folder /no/where does not exist"),
    ],
)
def test_what_would_stop_an_alarm_silently_is_refused(shell: Shell, text: str, said: str):
    done = mail(shell, text, table="alarms")("check")
    assert done.status in (1, 2)
    assert said in done.said + done.out.decode()


def test_the_password_is_shown_nowhere(shell: Shell):
    done = mail(shell, f"{WHOLE}user = 'u'\npassword = 'geheim'")("config", "--json")
    assert done.json["mail"]["server"] == "mail.example"
    assert done.json["alarms"]["digest_at"] == "07:00:00"
    assert b"geheim" not in done.out


def test_the_webhook_s_token_is_shown_nowhere(shell: Shell):
    hook = "alarm_webhook = 'https://alarms.example/hook'\nalarm_webhook_token = 'geheim'\n"
    (shell.folder / "adapter.toml").write_text(hook)
    assert shell("config", "--json").json["alarm_webhook"] == "https://alarms.example/hook"
    assert b"geheim" not in shell("config", "--json").out + shell("config").out


def test_a_test_alarm_reaches_everybody_once(shell: Shell):
    with PretendMailServer() as server:
        at(shell, server)("migrate")
        done = shell("alarms", "test", "--json")
    assert done.status == 0
    assert [(one["to"], one["taken"]) for one in done.json] == [(SOLVEIG, True), (CHIEF, True)]
    assert [one.to for one in server.taken] == [[SOLVEIG], [CHIEF]]
    assert "`escalate_to`" in server.taken[1].text
    (alarm,) = shell("alarms", "--json").json
    assert alarm["kind"] == "test"
    assert alarm["until"] is not None


def test_a_test_that_fails_says_why_and_leaves_nothing_behind(shell: Shell):
    with PretendMailServer(refused={CHIEF: "550 5.1.1 no"}) as server:
        at(shell, server)("migrate")
        done = shell("alarms", "test")
        assert done.status == 1
        assert f"{SOLVEIG}: taken" in done.out.decode()
        assert (
            f"{CHIEF}: not taken: the mail server does not take the address: SMTP 550 5.1.1"
            in done.out.decode()
        )
        server.faults["greeting"] = "421 no"
        done = shell("alarms", "test")
        assert done.out.decode().count("not taken") == 2
    states = {one["state"] for one in shell("deliveries", "--json").json}
    assert states == {"sent", "given-up"}
    assert [a for a in shell("alarms", "--json").json if a["until"] is None] == []


def test_where_alarms_go_nowhere_the_test_says_what_to_set(shell: Shell):
    shell("migrate")
    done = shell("alarms", "test")
    assert done.status == 2
    assert "set server, sender and to in [mail], or alarm_webhook" in done.said


def test_what_only_pretends_to_go_wrong_is_told_to_nobody():
    mail = MailSettings(server="mail.example", sender="a@b.example", to=("c@d.example",))
    found = told_to_nobody(Settings(mail=mail, alarm_webhook="http://127.0.0.1:9/alarms"))
    assert (found.mail.server, found.mail.to, found.alarm_webhook) == (None, (), None)
