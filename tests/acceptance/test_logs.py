"""No log and no metric holds an identity number, a name or a message: a process fed with them everywhere.

Every number is planted in one place only, so that a failure tells where it came through.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.people import OPERATOR, PASSWORD, people_file
from tests.rig import TOKEN, Rig, free_port

ROOT = Path(__file__).parents[2]
FHIR = (ROOT / "fixtures" / "fhir" / "admitted" / "message.json").read_text()
PLO = (ROOT / "fixtures" / "plo" / "home-with-help" / "admitted.plo-1.6.xml").read_text()
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
HER = "urn:oid:2.16.578.1.12.4.1.2"
NAMES = ("Kvitebjørn", "Heimdalsrud")
DIAGNOSIS = "Brotfraktur-i-lårhalsen"

pytestmark = pytest.mark.slow


@dataclass
class Planted:
    """Synthetic numbers, each for one place."""

    places: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        count = len(self.places)
        number = f"{count % 28 + 1:02d}8338{10_700 + 97 * count}"
        self.places[number] = place
        return number

    def found_in(self, text: str) -> list[str]:
        """Where the numbers in `text` come from, however they are written."""
        joined = re.sub(r"(?<=\d)(?:[ +-]|%20|\\u00a0)(?=\d)", "", text)
        return [place for number, place in self.places.items() if number in joined or number in text]


def names_in(text: str) -> list[str]:
    written = [form for name in (*NAMES, DIAGNOSIS) for form in (name, orjson.dumps(name).decode()[1:-1])]
    escaped = [name.encode("unicode_escape").decode() for name in (*NAMES, DIAGNOSIS)]
    return [form for form in (*written, *escaped) if form in text]


# --- what is fed ------------------------------------------------------------------------------------------


def fhir(number: str, sender: str = "8143500", receiver: str = "8150000", **changes: str) -> str:
    """An admission as our FHIR, with anything in it replaced."""
    text = FHIR
    for one in set(re.findall(r'"id": "([0-9a-f-]{36})"', FHIR)):
        text = text.replace(one, str(uuid.uuid4()))
    text = text.replace("8143548", sender).replace("8143549", receiver).replace("01815290042", number)
    return named(changed(text, changes))


def plo(number: str, sender: str = "8143500", receiver: str = "8150000", **changes: str) -> str:
    """An admission as KITH's XML, with anything in it replaced."""
    text = re.sub(r"<MsgId>.*?</MsgId>", f"<MsgId>{uuid.uuid4()}</MsgId>", PLO)
    text = text.replace("8143501", sender).replace("8143500", sender)
    text = text.replace("8143511", receiver).replace("8143510", receiver).replace("12833840159", number)
    return named(changed(text, changes))


def changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def named(text: str) -> str:
    text = text.replace("Fjellheim", NAMES[0]).replace("Synnøve", NAMES[1])
    return text.replace("Pasienten ble innlagt", DIAGNOSIS)


def odd_messages(planted: Planted) -> Iterator[tuple[str | bytes, str]]:
    """Messages with numbers where none belong, each with its content type."""
    xml, json, ordinary = "application/xml", "application/fhir+json", "13833840159"
    planted.places[ordinary] = "the patient of an odd message"
    yield fhir(planted("a patient, FHIR")), json
    yield plo(planted("a patient, KITH")), xml
    for say, media in ((fhir, json), (plo, xml)):
        yield say(ordinary, sender=planted(f"sender, {media}")), media
        spaced = planted(f"sender with a space, {media}")
        yield say(ordinary, sender=f"{spaced[:6]} {spaced[6:]}"), media
        yield say(ordinary, receiver=planted(f"receiver, {media}")), media
        yield say(ordinary), f"{media}; name={planted(f'a parameter of {media}')}"
        yield say(ordinary), f"application/{planted(f'the type beside {media}')}+{media[-4:].strip('+/')}"
    yield fhir(ordinary, **{'"admitted"': f'"{planted("event code")}"'}), json
    yield fhir(ordinary, **{"CodeSystem/discharge-events": f"x/{planted('system of the event')}"}), json
    yield fhir(ordinary, **{'"resourceType": "Bundle"': f'"resourceType": "{planted("type")}"'}), json
    yield fhir(ordinary, **{'"type": "message"': f'"type": "{planted("Bundle.type")}"'}), json
    yield fhir(ordinary, **{"2014-11-03T09:20:00+01:00": planted("Bundle.timestamp")}), json
    yield fhir(ordinary, **{'"birthDate": "': f'"{planted("an unknown field")}": 1, "birthDate": "'}), json
    yield fhir(ordinary, **{'"birthDate": "': f'"birthDate": "{planted("birthDate")}'}), json
    yield fhir(ordinary).replace(re.findall(r'"id": "(.*?)"', fhir(ordinary))[0], planted("Bundle.id")), json
    yield fhir(ordinary)[:900] + planted("JSON that breaks off"), json
    yield f'{{"{planted("JSON of something else")}": "{NAMES[0]}"}}', json
    yield plo(ordinary, LOG_INNLAGT=planted("MsgType")), xml
    yield plo(ordinary, **{"<MsgId>": f"<MsgId>{planted('MsgId')}"}), xml
    yield plo(ordinary, **{"2014-03-03T14:20:05": planted("GenDate")}), xml
    yield plo(ordinary, **{"2014-03-03T13:45:00": planted("time of the event")}), xml
    yield plo(ordinary, **{"<MsgInfo>": f"<MsgInfo><No{planted('name of an element')}/>"}), xml
    yield plo(ordinary)[:900] + planted("XML that breaks off"), xml
    yield f"<{NAMES[0]} a='{planted('XML of something else')}'/>", xml
    yield f"<!DOCTYPE a{planted('a document type')}><a/>", xml
    yield plo(ordinary).encode("utf-16-le") + planted("bytes").encode(), xml
    yield planted("plain text"), "text/plain"


def come_in(url: str) -> requests.Session:
    """As an operator: by password, else by one click."""
    someone = requests.Session()
    for form in ({"name": OPERATOR.id, "password": PASSWORD}, {"as": "operations"}):
        someone.post(f"{url}/sign-in", form, timeout=10)
    return someone


def odd_requests(planted: Planted, url: str) -> None:
    """Numbers in addresses, headers and credentials; most are refused, some are no HTTP at all."""
    someone = come_in(url)
    paths = "/{} /cases/{} /messages/{} /deliveries?patient={} /deliveries?before={} /cases?{}={} /fhir/{}"
    for path in f"{paths} /static/{{}} /readyz?{{}} /metrics?{{}} /healthz/{{}}".split():
        for who in (someone, requests):
            who.get(url + path.replace("{}", planted(f"GET {path}")), timeout=10)
    number = planted("search")
    for typed in (number, f"{number[:6]} {number[6:]}", number * 5, f"\x00{number}"):
        form = {"number": typed, number: number}
        someone.post(url + "/deliveries/search", form, timeout=10)
    form = {"name": planted("name to sign in"), "password": planted("password"), "to": planted("way on")}
    requests.post(f"{url}/sign-in", form, timeout=10)
    requests.get(f"{url}/metrics", auth=(planted("name to sign in"), planted("password")), timeout=10)
    back = {"code": planted("code"), "state": planted("state")}
    requests.get(f"{url}/sign-in/back", back, cookies={"signing-in": planted("cookie")}, timeout=10)
    requests.post(f"{url}/{planted('POST')}", data=b"x", timeout=10)
    for header in (
        "Host",
        "Origin",
        "Accept",
        "X-Forwarded-For",
        "Sec-Fetch-Site",
        "Authorization",
        "Cookie",
    ):
        value = planted(header) if header != "Authorization" else f"Bearer {planted(header)}"
        given = {"Content-Type": "application/xml", header: value}
        requests.post(f"{url}/fhir/$process-message", b"<a/>", headers=given, timeout=10)
    for raw in (
        f"{planted('method')} / HTTP/1.1\r\n\r\n",
        f"GET /{planted('version')} HTTP/{planted('version')}\r\n\r\n",
        f"GET /æ{planted('address that is no ASCII')} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: {planted('upgrade')}\r\nConnection: upgrade\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {planted('length')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\n{planted('name of a header')}\x01: x\r\n\r\n",
        f"{{{planted('no HTTP')}}}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5) as peer:
            peer.sendall(raw.encode())
            peer.recv(1000)


class Partners:
    """A municipality that answers deliveries with numbers, and a FHIR server whose messages hold them."""

    def __init__(self, web: HTTPServer, planted: Planted) -> None:
        self.delivered = self.polled = 0
        self._planted = planted
        self._answers = list(self._odd_answers())
        one = orjson.loads(fhir(planted("a patient, polled"), receiver="8150000"))
        two = orjson.loads(fhir(planted("sender, polled"), sender=planted("sender, polled")))
        self._holds = [one, two, {"resourceType": "Bundle", "id": planted("id, polled"), "type": "message"}]
        for held in self._holds:
            held["meta"] = {"versionId": "1", "lastUpdated": datetime.now(UTC).isoformat()}  # noqa: TID251
        web.expect_request(
            re.compile(r"/fhir/\$process-message|/fhir/%24process-message")
        ).respond_with_handler(self._take)
        web.expect_request(re.compile("/poll.*")).respond_with_handler(self._search)

    def _odd_answers(self) -> Iterator[Response]:
        say, fhir_json = self._planted, "application/fhir+json"
        for status in (200, 400, 409, 422, 500, 503):
            outcome = {
                "resourceType": "OperationOutcome",
                "issue": [{"code": "invalid", "severity": "error"}],
            }
            outcome["issue"][0]["diagnostics"] = f"{NAMES[0]} {say(f'an outcome with {status}')}"  # type: ignore[index]
            yield Response(orjson.dumps(outcome), status=status, content_type=fhir_json)
        yield Response(fhir(say("a notice as an answer")), content_type=fhir_json)
        yield Response(say("text as an answer"), status=418, content_type=f"text/{say('type of an answer')}")
        yield Response(status=307, headers={"Location": f"http://127.0.0.1/{say('a redirect')}"})
        yield Response(status=503, headers={"Retry-After": say("Retry-After")})
        yield Response(b"", status=f"400 {say('a reason phrase')}", headers={"X-A": say("a header")})

    def _take(self, _: Request) -> Response:
        self.delivered += 1
        return self._answers[self.delivered % len(self._answers)]

    def _search(self, request: Request) -> Response:
        for held in self._holds:
            if request.path.endswith(held["id"]):
                return Response(orjson.dumps(held), content_type="application/fhir+json")
        self.polled += request.path.endswith("/Bundle")
        if not request.path.endswith("/Bundle"):
            return Response(self._planted("a poll that fails"), status=404)
        url = request.url_root
        entries = [
            {"fullUrl": f"{url}poll/Bundle/{b['id']}", "resource": b, "search": {"mode": "match"}}
            for b in self._holds
        ]
        page = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        if self.polled % 2:
            page["link"] = [{"relation": "next", "url": f"http://[{self._planted('the next page')}"}]
        return Response(orjson.dumps(page), content_type="application/fhir+json")


# --- the tests --------------------------------------------------------------------------------------------


def settings(folder: Path, poll: str) -> str:
    return f"""
people = "{people_file(folder / "people.toml", (OPERATOR,))}"

[[directory_mailboxes]]
name = "share"
address = "{folder}/share"

[[fhir_mailboxes]]
name = "server"
address = "{poll}"
every = 1
timeout = 2
"""


def put(folder: Path, name: str, content: str) -> None:
    part = folder / "in" / f"{name}.part"
    part.write_text(content)
    part.rename(part.with_suffix(""))


def fill(folder: Path, planted: Planted) -> None:
    """Mail in a directory, in files that are called by numbers too; some of it cannot be moved away."""
    number = planted("a file's name")
    put(folder, "a.xml", plo(planted("a patient, directory")))
    put(folder, f"{number}.xml", plo(number))
    put(folder, f"{number[:6]} {number[6:]}.json", fhir(number, sender=planted("sender, directory")))
    put(folder, f"{NAMES[0]}.xml", f"<a{planted('broken XML, directory')}")
    (folder / "in" / planted("a folder's name")).mkdir()
    (folder / "in" / f"{planted('a link')}.xml").symlink_to("/dev/null")


def waited(true: object, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.1)
    return False


def lines_of(log: str, *sentences: str) -> list[dict[str, object]]:
    """Every line as JSON, but for the sentences said to people at the start."""
    return [orjson.loads(line) for line in log.splitlines() if not line.startswith(sentences)]


def test_no_log_line_and_no_metric_of_a_region_identifies_anybody(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    planted = Planted()
    partners = Partners(httpserver, planted)
    share = tmp_path / "share"
    (share / "in").mkdir(parents=True)
    made = Rig(folder=tmp_path, names=("laerdal",), settings=settings(tmp_path, httpserver.url_for("/poll")))
    made.ports = {"laerdal": httpserver.port}
    try:
        made.start()
        base = f"http://127.0.0.1:{made.port}"
        statuses = []
        for content, media in odd_messages(planted):
            data = content if isinstance(content, bytes) else content.encode()
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": media}
            statuses.append(requests.post(made.url, data, headers=headers, timeout=10).status_code)
        odd_requests(planted, base)
        fill(share, planted)
        assert waited(lambda: len(list((share / "in").glob("*.xml"))) == 1), "the link alone stays"
        (share / "failed").rename(share / "failed-before")
        (share / "failed").symlink_to("/tmp")
        put(share, f"{planted('a file that cannot be moved')}.xml", f"<b{NAMES[1]}")
        assert waited(lambda: partners.delivered >= 3 and partners.polled >= 2)
        assert waited(lambda: made.number("SELECT count(*) FROM message WHERE channel = 'poll'") >= 2)
        assert waited(lambda: "failed/ is a link" in made.log())
        assert made.number("SELECT count(*) FROM message WHERE channel = 'directory'") >= 4
        metrics = requests.get(base + "/metrics", timeout=10).text
        assert made.adapter is not None
        made.adapter.send_signal(signal.SIGTERM)
        assert made.adapter.wait(timeout=15) == 0
    finally:
        made.stop()
    log = made.log()
    assert {200, 202, 400, 415, 422} <= set(statuses)
    lines = lines_of(log, "The discharge adapter is running.", "warning: ")
    assert {"accepted", "refused", "quarantined"} <= {line.get("outcome") for line in lines}
    assert "mailbox cannot be read" in log
    assert (planted.found_in(log), names_in(log)) == ([], [])
    assert (planted.found_in(metrics), names_in(metrics)) == ([], [])


def test_no_log_line_and_no_metric_of_an_evaluation_identifies_anybody(tmp_path: Path) -> None:
    """Here every address counts as a party, so that a number in one may become a party's name."""
    planted, port = Planted(), free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapter.cli", "run", "--port", str(port)],
            stdout=log, stderr=log, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        assert waited(lambda: answers(base))
        statuses = []
        for content, media in [*odd_messages(planted), *strangers(planted)]:
            data = content if isinstance(content, bytes) else content.encode()
            headers = {"Content-Type": media}
            address = f"{base}/fhir/$process-message"
            statuses.append(requests.post(address, data, headers=headers, timeout=10).status_code)
        odd_requests(planted, base)
        metrics = requests.get(base + "/metrics", timeout=10).text
        process.terminate()
        assert process.wait(timeout=15) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert statuses.count(200) > 10
    assert lines_of(said, "The discharge adapter is running.", "No region is configured")
    assert (planted.found_in(said), names_in(said)) == ([], [])
    assert (planted.found_in(metrics), names_in(metrics)) == ([], [])


def answers(base: str) -> bool:
    try:
        return requests.get(base + "/readyz", timeout=1).ok
    except requests.RequestException:
        return False


def strangers(planted: Planted) -> Iterator[tuple[str, str]]:
    """Addresses that are persons' numbers by their system too; and a person who is not marked as a test."""
    json = "application/fhir+json"
    for place in ("sender", "receiver"):
        number = planted(f"{place} by identity number")
        bundle = orjson.loads(fhir("14833840159", **{place: number}))
        for entry in bundle["entry"]:
            for one in entry["resource"].get("identifier", ()):
                if number in str(one):
                    one["system"] = FNR
        yield orjson.dumps(bundle).decode(), json
    yield (
        fhir(planted("system of the sender")).replace(HER, f"urn:oid:{planted('system of an address')}"),
        json,
    )
    real = planted("not synthetic").replace("8338", "0338")
    planted.places[real] = "not marked as a test person's"
    yield fhir(real), json
