"""The pages over real HTTP: what a person finds there, and what nobody does."""

import re
from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import html
from sqlalchemy import text

from adapter.cases import Cases, pseudonym
from adapter.config import load_region
from adapter.discharge.ledger import EntryState
from adapter.discharge.notices import NoticeKind, Standing
from adapter.fhir.bundles import CPR, DNR, PERSONNUMMER
from adapter.messaging.delivery import Reply
from adapter.messaging.register import ReceiptWhen
from adapter.scheduler.deadlines import Deadlines
from adapter.store import alarms, deliveries, tables
from adapter.web.pages import HEADERS, PAGES
from tests.conftest import OSLO, StandingClock
from tests.people import OPERATOR
from tests.stage import REGION, SYNNOVE, altered, failing, region

from .conftest import SCRIPT, receipting, site

DOCS = Path(__file__).parents[2] / "docs" / "pages.md"
EVERY = [
    "/", "/?still=1", "/cases", "/cases/1", "/deadlines", "/deliveries", "/deliveries?state=sent",
    "/deliveries/1", "/deliveries/4", "/messages/1", "/messages/2", "/messages/6", "/messages/7",
    "/quarantine", "/endpoints", "/alarms", "/nowhere",
]  # fmt: skip
LISTS = ["/", "/cases", "/cases/1", "/deadlines", "/deliveries", "/quarantine", "/endpoints", "/alarms"]
NUMBER = SYNNOVE.identifiers[0][1]


def page(found):
    return html.fromstring(found.text)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def rows(found) -> list[str]:
    return [words(row) for row in page(found).xpath("//tbody/tr")]


# --- every page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EVERY)
def test_every_page_is_well_made(living, path):
    found = living.get(path)
    assert found.status_code == (404 if path == "/nowhere" else 200)
    tree = page(found)
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert len(tree.xpath("//h1")) == 1
    assert tree.xpath("//html[@lang='en']//title/text()")
    assert not tree.xpath("//th[not(@scope)]")
    for table in tree.xpath("//table"):  # each value says its heading, where rows are cards
        heads = [words(head) for head in table.xpath("./thead//th")]
        assert all(row.xpath("./*/@data-label") == heads for row in table.xpath("./tbody/tr"))
    assert all(table.find("caption") is not None for table in tree.xpath("//table"))
    assert all(table.getparent().get("class") == "scroll" for table in tree.xpath("//table"))
    assert tree.xpath("//body/a[1][@href='#content']") and "content" in ids
    assert set(tree.xpath("//@aria-labelledby | //label/@for | //@aria-describedby")) <= set(ids)
    assert all(src.startswith("/static/live.js?v=") for src in tree.xpath("//script/@src"))
    assert not tree.xpath("//script[not(@src)] | //style | //@style | //@onclick | //iframe")
    levels = [int(heading.tag[1]) for heading in tree.xpath("//h1 | //h2 | //h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("path", EVERY)
def test_every_page_says_how_many_alarms_are_open_and_the_newest_of_them(living, path):
    tree = page(living.get(path))
    assert words(tree.xpath("//*[contains(@class, 'alarm-count')]")[0]) == "1 open alarm"
    if path != "/alarms":
        assert "is not in the region file" in words(tree.xpath("//aside")[0])


@pytest.mark.parametrize("path", [*EVERY, "/static/pages.css", "/deliveries/search"])
def test_the_browser_is_told_to_run_frame_and_remember_nothing(living, path):
    headers = living.get(path).headers
    kept = {"Cache-Control": "public, max-age=31536000, immutable"} if path.startswith("/static/") else {}
    for name, value in (HEADERS | kept).items():
        assert headers[name] == value


@pytest.mark.parametrize("path", LISTS)
def test_no_list_shows_a_name_or_an_identity_number(living, path):
    found = living.get(path).text
    for secret in (NUMBER, "Fjellheim", "Synnøve", "Vik-Hansen"):
        assert secret not in found


def test_every_link_leads_somewhere(living):
    targets = {href for path in EVERY for href in page(living.get(path)).xpath("//a/@href | //link/@href")}
    for href in sorted(targets - {"#content"}):
        assert living.get(href).status_code == 200, href


def test_every_page_is_described_in_the_documentation():
    described = DOCS.read_text(encoding="utf-8")
    for path in (page.path for page in PAGES):
        assert f"`{path}`" in described


# --- the overview -----------------------------------------------------------------------------------------


def test_a_municipality_that_is_down_is_told_from_the_others(living):
    tree = page(living.get("/"))
    assert words(tree.xpath("//*[contains(@class, 'summary')]")[0]) == (
        "✕ Luster kommune does not answer. 1 message waits and will be sent, in order, when it answers again."
    )
    tiles = {words(tile.find("h3")): words(tile) for tile in tree.xpath("//li[contains(@class, 'tile')]")}
    assert "Does not answer Waiting for it 1" in tiles["Luster kommune"]
    assert "HTTP 503" in tiles["Luster kommune"]
    assert "Receipt awaited" in tiles["Sogndal kommune"]
    assert "Nothing sent yet" in tiles["Vik kommune"]
    assert "own system" in tiles["Årdal kommune"]


def test_a_municipality_that_is_back_is_seen_catching_up(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        for number in range(2):
            patient = replace(SYNNOVE, identifiers=((DNR, f"4184301234{number}"),))
            assert stage.receive(stage.message(NoticeKind.ADMITTED, subject=patient)).outcome == "accepted"
        stage.post.answer = failing(503)
        stage.deliver()
        assert "Sogndal kommune does not answer. 2 messages wait" in found.get("/").text
        stage.built.store.write(
            lambda tx: tx.execute(text("UPDATE delivery SET next_attempt_at = created_at WHERE id = 1"))
        )
        stage.post.answer = receipting
        clock.forward(seconds=1)
        assert stage.deliver() == ["sent"]
        assert "Sogndal kommune is catching up: 1 message to go." in found.get("/").text
        clock.forward(minutes=1)
        stage.deliver()
        assert "Every party is being reached, and nothing stands still." in found.get("/").text


def test_patients_now_are_counted_where_they_are_and_those_gone_only_in_total(tmp_path):
    kinds = (
        NoticeKind.ADMITTED, NoticeKind.READY_FOR_DISCHARGE, NoticeKind.LEAVE_STARTED, NoticeKind.DISCHARGED,
        NoticeKind.DECEASED, NoticeKind.DECEASED,
    )  # fmt: skip
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        for number, kind in enumerate(kinds):
            patient = replace(SYNNOVE, identifiers=((DNR, f"4184301234{number}"),))
            assert stage.receive(stage.message(kind, subject=patient)).outcome == "accepted"
        tree = page(found.get("/"))
        figures = [words(figure) for figure in tree.xpath("//ul[@class='figures']/li")]
        assert figures[:3] == ["2 in hospital", "1 of these ready for discharge", "1 on leave"]
        assert "Since the store began: 1 discharge, 2 deaths." in words(tree)
        assert not any("discharged" in figure for figure in figures)


def test_a_case_without_a_hospital_is_called_by_the_side_that_is_known(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        content = stage.message(NoticeKind.DECEASED, sender="luster", receivers=("sogndal",), hospital=None)
        assert stage.receive(content).outcome == "accepted"
        assert words(page(found.get("/cases/1")).find(".//h1")) == "Case 1: Luster kommune"


def summary_of(found) -> str:
    return words(page(found.get("/")).xpath("//*[contains(@class, 'summary')]")[0])


def test_all_is_well_only_while_nothing_waits_for_a_person(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED))
        stage.post.answer = receipting
        stage.deliver()
        assert summary_of(found) == "✓ Every party is being reached, and nothing stands still."
        clock.forward(hours=25)
        assert summary_of(found) == "! To be seen to by a person: 1 overdue deadline."

        def unit(tx):
            for number in (1, 2):
                alarms.start(tx, kind="mailbox", subject=f"mailbox {number}", text="unread", now=clock())

        stage.write(unit)
        assert summary_of(found) == "! To be seen to by a person: 2 open alarms and 1 overdue deadline."


def test_in_evaluation_nothing_waits_for_a_person_only_because_no_endpoint_is_there(tmp_path):
    sample = (Path(__file__).parents[2] / "fixtures" / "fhir" / "care-needs" / "message.json").read_bytes()
    clock = StandingClock(datetime(2026, 11, 20, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, evaluation=True) as found:
        assert found.stage.receive(sample).outcome == "accepted"
        assert "· Waiting: no endpoint configured" in rows(found.get("/deliveries"))[0]
        assert summary_of(found) == (
            "✓ All is well. 1 message would be sent on if an endpoint were configured."
        )
        assert "for a person" not in found.get("/").text


def test_without_javascript_a_page_says_that_it_stands_still_and_how_to_load_it_again(living):
    tree = page(living.get("/", headers={"Accept-Language": "en"}))
    assert not tree.xpath("//meta[@http-equiv='refresh']")
    assert words(tree.xpath("//noscript")[0]) == (
        "Without JavaScript this page does not renew itself. Load it again"
    )
    norwegian = page(living.get("/", headers={"Accept-Language": "nb"}))
    assert norwegian.xpath("//noscript/a")[0].text == "Last den inn på nytt"


def test_an_empty_store_says_what_to_do_first(tmp_path):
    with site(tmp_path, StandingClock(), evaluation=True) as found:
        tree = page(found.get("/"))
        assert words(tree.find(".//h1")) == "Evaluation"
        assert tree.xpath("//code[text()='discharge-adapter receive FILE']")
        assert "nothing leaves this machine" in words(tree.xpath("//footer")[0])


# --- deliveries -------------------------------------------------------------------------------------------


def test_the_log_is_newest_first_and_says_how_each_delivery_stands(living):
    found = rows(living.get("/deliveries"))
    assert [int(row.split()[0]) for row in found] == [5, 4, 3, 2, 1]
    assert "Care needs Luster kommune ! Waiting after a failure HTTP 503" in found[0]
    assert "→ Sent, receipt awaited" in found[2]
    assert "✓ Acknowledged" in found[4]


def test_every_badge_of_a_delivery_begins_with_a_word_of_the_filter(living):
    tree = page(living.get("/deliveries"))
    offered = [words(option) for option in tree.xpath("//select[@id='state']/option")]
    assert offered == [
        "any",
        "Waiting",
        "On its way now",
        "Sent",
        "Acknowledged",
        "Refused",
        "Given up",
        "Cancelled, never sent",
    ]
    badges = [words(badge)[2:] for badge in tree.xpath("//tbody//span[starts-with(@class, 'mark')]")]
    assert len(badges) == 5
    assert all(badge.startswith(tuple(offered[1:])) for badge in badges)


def test_an_alarm_that_is_posted_goes_to_our_own_staff(tmp_path):
    with site(tmp_path, StandingClock(), alarm_webhook="http://127.0.0.1:9/alarms") as found:
        stage = found.stage
        stage.write(
            lambda tx: stage.outbox.alarms.start(
                tx, kind="mailbox", subject="box", text="gone", now=stage.clock()
            )
        )
        assert "1 Alarm Our own staff" in rows(found.get("/deliveries"))[0]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("state=sent", [4, 3, 2]),
        ("party=sogndal", [3, 1]),
        ("case=1", [3, 1]),
        ("state=acknowledged&party=sogndal", [1]),
        ("case=1&party=luster", []),
        ("awaiting=1", [4, 3]),
        ("awaiting=1&party=sogndal", [3]),
        ("awaiting=no", []),
        ("state=&party=&case=", [5, 4, 3, 2, 1]),
        ("state=nonsense", []),
        ("case=99", []),
        ("case=abc", []),
        ("before=3", [2, 1]),
        ("before=-1", []),
        ("before=", [5, 4, 3, 2, 1]),
    ],
)
def test_the_log_is_filtered_by_the_address(living, query, ids):
    assert [int(row.split()[0]) for row in rows(living.get(f"/deliveries?{query}"))] == ids


def test_a_page_of_the_log_that_cannot_be_says_so(living):
    assert "In the address before is the number of a delivery" in living.get("/deliveries?before=last").text


@pytest.mark.parametrize(
    ("patient", "said"),
    [
        ("zzz", "In the address a patient is a pseudonym"),
        ("P" + "A" * 16, "There is no case of this patient."),
    ],
)
def test_a_patient_without_a_case_is_not_told_that_the_first_message_opens_one(living, patient, said):
    found = living.get(f"/cases?patient={patient}").text
    assert said in found
    assert "The first message" not in found


def test_the_filter_stays_as_it_was_chosen(living):
    tree = page(living.get("/deliveries?state=sent&party=sogndal&case=1"))
    assert tree.xpath("//option[@selected]/@value") == ["sent", "sogndal"]
    assert tree.xpath("//input[@id='case']/@value") == ["1"]


def test_a_long_log_is_paged_and_keeps_its_filter(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED))
        first = found.look(deliveries.get, 1)
        more = [{k: v for k, v in first.items() if k != "id"} for _ in range(60)]
        stage.built.store.write(lambda tx: [deliveries.add(tx, values) for values in more])
        newest = found.get("/deliveries?party=sogndal")
        assert [int(row.split()[0]) for row in rows(newest)] == list(range(61, 11, -1))
        older = page(newest).xpath("//a[@rel='next']/@href")[0]
        assert older == "/deliveries?party=sogndal&before=12"
        assert [int(row.split()[0]) for row in rows(found.get(older))] == list(range(11, 0, -1))
        assert not page(found.get(older)).xpath("//a[@rel='next']")


def test_a_delivery_shows_its_attempts_what_was_sent_and_the_receipt(living):
    tree = page(living.get("/deliveries/1"))
    assert words(tree.find(".//h1")) == "Delivery 1: Admitted to Sogndal kommune"
    steps = [words(step) for step in tree.xpath("//ol[@class='steps']/li")]
    assert steps[3].startswith("Accepted 3 Mar, 10:00:05")
    assert "✓ Taken by the receiver 200 4.2 ms Schedule –" in words(tree.xpath("//tbody/tr")[0])
    sent, receipt = (words(body) for body in tree.xpath("//pre"))
    assert '"code": "admitted"' in sent and NUMBER in sent
    assert '"code": "receipt"' in receipt
    assert tree.xpath("//a[@href='/messages/1']") and tree.xpath("//a[@href='/messages/2']")


def test_a_delivery_in_another_dialect_shows_both_sides(living):
    tree = page(living.get("/deliveries/4"))
    sent, received = (words(body) for body in tree.xpath("//pre"))
    assert sent.startswith('<?xml version="1.0"') and "LOG_INNLAGT" in sent
    assert received.startswith("{") and '"resourceType": "Bundle"' in received


def test_a_file_in_a_folder_is_not_said_to_be_taken(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("aardal",)))
        stage.post.answer = lambda _message, _endpoint: Reply(taken=True, delivered=False, ms=0.4)
        stage.deliver()
        tree = page(found.get("/deliveries/1"))
        assert "· Put in the folder –" in words(tree.xpath("//tbody/tr")[0])
        assert [words(step) for step in tree.xpath("//ol[@class='steps']/li")][2] == "Delivered –"
        folder = next(row for row in rows(found.get("/endpoints")) if row.startswith("aardal"))
        assert "✓ Files are put in its folder" in folder


def test_a_failed_delivery_says_what_can_be_done(living):
    tree = page(living.get("/deliveries/5"))
    assert tree.xpath("//form[@action='/deliveries/5/resend']")
    assert "! Failed, tried again" in words(tree.xpath("//tbody/tr")[0])


# --- finding a patient ------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [NUMBER, f" {NUMBER[:6]} {NUMBER[6:]} "])
def test_a_patient_is_found_by_the_number_which_goes_no_further(living, typed):
    answer = living.post("/deliveries/search", data={"number": typed}, allow_redirects=False)
    assert answer.status_code == 303
    assert re.fullmatch(r"/deliveries\?patient=P[A-Z2-7]{16}", answer.headers["location"])
    found = living.get(answer.headers["location"])
    assert [int(row.split()[0]) for row in rows(found)] == [3, 1]
    assert NUMBER not in answer.text + str(answer.headers) + found.text + found.url


@pytest.mark.parametrize(
    ("system", "stored", "typed"),
    [
        (DNR, "41843012345", "41843012345"),
        (PERSONNUMMER, "193105022384", "19310502-2384"),
        (CPR, "020531-1234", "0205311234"),
    ],
)
def test_a_number_of_any_national_system_is_found_however_it_is_written(tmp_path, system, stored, typed):
    patient = replace(SYNNOVE, identifiers=((system, stored),))
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        assert stage.receive(stage.message(NoticeKind.ADMITTED, subject=patient)).outcome == "accepted"
        answer = found.post("/deliveries/search", data={"number": typed})
        assert len(rows(answer)) == 1
        assert answer.url.endswith(pseudonym(stage.built.inbox.pseudonym_key, patient))


def test_another_site_searches_for_nobody_in_an_operators_name(living):
    crossed, before = {"Sec-Fetch-Site": "same-site"}, living.stage.rows(tables.fhir_access)
    answer = living.post("/deliveries/search", data={"number": NUMBER}, headers=crossed)
    assert answer.status_code == 403
    assert living.stage.rows(tables.fhir_access) == before


def test_a_look_at_a_message_of_no_case_is_written_down_too(living):
    (held,) = [m for m in living.stage.rows(tables.message, outcome="quarantined") if m["case_id"] is None]
    before = len(living.stage.rows(tables.fhir_access))
    assert living.get(f"/messages/{held['id']}").status_code == 200
    (look,) = living.stage.rows(tables.fhir_access)[before:]
    assert look["page"] == "/messages/{id}" and re.fullmatch("P[A-Z2-7]{16}", look["patient"])


def test_an_unknown_number_finds_nothing_and_is_not_repeated(living):
    answer = living.post("/deliveries/search", data={"number": "05882954399"})
    assert answer.status_code == 200 and not rows(answer)
    assert "Nothing has been sent about this patient." in answer.text
    assert "05882954399" not in answer.text + answer.url


@pytest.mark.parametrize(
    "body", [b"", b"number=", b"number=1", b"other=1", b"number=%ff%fe", b"number=" + b"1" * 5000]
)
def test_a_search_without_a_number_asks_for_one(living, body):
    answer = living.post(
        "/deliveries/search", data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 400
    assert "Type the patient" in answer.text
    assert "11111" not in answer.text


def test_a_number_put_into_the_address_by_hand_is_not_repeated(living):
    query = "&".join(f"{name}={NUMBER}" for name in ("patient", "before", "case", "state", "party"))
    found = living.get(f"/deliveries?{query}")
    assert not rows(found)
    assert "Never put an identity number there" in found.text
    assert NUMBER not in found.text
    assert NUMBER not in living.get(f"/cases?patient={NUMBER}").text
    assert NUMBER not in living.get(f"/cases/{NUMBER}").text


# --- cases, messages, deadlines ---------------------------------------------------------------------------


def test_a_case_tells_its_story_in_order_with_evidence_and_basis(living):
    tree = page(living.get("/cases/1"))
    assert words(tree.find(".//h1")) == "Case 1: Lærdal sjukehus – Sogndal kommune"
    told = [words(event) for event in tree.xpath("//ol[@class='timeline']/li")]
    kinds = [event.get("class") for event in tree.xpath("//ol[@class='timeline']/li")]
    assert kinds == ["notice", "delivery", "notice", "delivery", *["deadline"] * 2]
    assert "Admitted From Lærdal sjukehus to Sogndal kommune." in told[0]
    assert "✓ Accepted by Sogndal kommune, 3 Mar, 10:00:05 ( message 2 )" in told[0]
    assert "forskrift 2011-11-18 nr 1115 § 8" in told[4]
    due = words(tree.xpath("//tbody/tr")[0])
    assert due.startswith("Early notice · 23 h 56 min left Tue 4 Mar, 10:00 Hospital for Sogndal kommune")


def test_a_case_says_why_in_english_and_in_the_language_of_the_country(living):
    tree = page(living.get("/cases/1/why"))
    lists = {(ul.get("lang"), words(ul)) for ul in tree.xpath("//ul[@lang]")}
    assert any(
        "Admission Monday 2014-03-03 10:00:00, and 24 hours later" in text
        for lang, text in lists
        if lang == "en"
    )
    assert any("24 timer senere: tirsdag 2014-03-04" in text for lang, text in lists if lang == "nb")
    assert living.get("/cases/99/why").status_code == 404


def test_payments_say_what_a_month_comes_to_day_by_day(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        stage.post.answer = receipting
        for kind in (NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE):
            stage.receive(stage.message(kind))
            stage.deliver()
        assert "Nothing is owed for March 2014" in words(page(found.get("/payments")))
        clock.forward(days=2)
        tree = page(found.get("/payments?month=2014-03"))
        totals, days = tree.xpath("//table")
        assert "Sogndal kommune the hospital 2 NOK 8,510" in words(totals)
        assert len(days.xpath(".//tbody/tr")) == 2
        assert "silence counts as no" in words(days)
        assert found.get("/payments?month=March").status_code == 404


def test_a_closed_month_has_the_numbers_by_which_a_charge_is_disputed_and_what_is_reversed(tmp_path):
    clock = StandingClock(datetime(2014, 3, 30, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        stage.post.answer = receipting
        for kind in (NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE):
            stage.receive(stage.message(kind))
            stage.deliver()
        ledger = stage.built.ledger
        assert "payments dispute" not in words(page(found.get("/payments?month=2014-03")))
        clock.forward(days=3)
        stage.write(lambda tx: ledger.close(tx, "2014-03", clock(), by="Kari"))
        tree = page(found.get("/payments?month=2014-03"))
        first, second = tree.xpath("//table")[1].xpath(".//tbody/tr")
        assert [words(row).split()[0] for row in (first, second)] == ["1", "2"]
        assert "payments dispute NO. --why TEXT" in words(tree)
        waived = EntryState.WAIVED
        stage.write(lambda tx: ledger.settle(tx, 2, waived, clock(), by="Kari", why="agreed"))
        assert "Charge, waived" in words(page(found.get("/payments?month=2014-03")))
        (row,) = [
            r for r in page(found.get("/payments?month=2014-04")).xpath("//tbody/tr") if "-4,255" in words(r)
        ]
        assert "Reversal of no. 2" in words(row)


def test_of_a_case_that_cannot_be_counted_the_page_of_payments_says_which_it_is(tmp_path, monkeypatch, capfd):
    """A statement without it would be wrong, and nobody would see it."""

    def folded(*_: object) -> None:
        raise KeyError("Fjellheim")

    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        found.stage.post.answer = receipting
        for kind in (NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE):
            found.stage.receive(found.stage.message(kind))
            found.stage.deliver()
        monkeypatch.setattr(Cases, "folded", folded)
        answer = found.get("/payments?month=2014-03", headers={"Accept-Language": "nb"})
        assert answer.status_code == 500
        assert "kan ikke telles, på grunn av en feil i adapteren: 1" in words(page(answer))
        assert "Fjellheim" not in answer.text + "".join(capfd.readouterr())


def test_payments_say_what_the_mean_of_a_month_comes_to(tmp_path):
    clock = StandingClock(datetime(2022, 3, 2, 10, 0, tzinfo=OSLO))
    of = load_region(REGION.parent / "umea-average.toml")
    hospital = {"sender": "nus", "receivers": ("vindeln", "vindelns-hc"), "hospital": "nus"}
    clinic = {"sender": "vindelns-hc", "receivers": ("nus",), "hospital": "nus", "open_care_available": True}
    with site(tmp_path, clock, of=of) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED, **hospital))
        stage.receive(stage.message(NoticeKind.OPEN_CARE_AVAILABILITY, **clinic))
        stage.receive(stage.message(NoticeKind.READY_FOR_DISCHARGE, **hospital))
        clock.forward(days=9)
        stage.receive(stage.message(NoticeKind.DISCHARGED, **hospital))
        totals, lines = page(found.get("/payments?month=2022-03")).xpath("//table")
        assert "Vindelns kommun the region 0 6 SEK 55,800" in words(totals)
        (line,) = lines.xpath(".//tbody/tr")
        assert words(line).startswith("March 2022 the mean of the month Vindelns kommun SEK 55,800 Charge")
        assert "the mean 9.00 is above the agreed 3.0" in words(line)
        assert not line.xpath(".//a")
        assert "the agreed level is 3.0 days" in words(page(found.get("/cases/1/why")))


def test_what_is_told_as_a_day_never_gets_the_clock_time_of_its_sending(tmp_path):
    clock = StandingClock(datetime(2014, 9, 18, 8, 10, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED))
        clock.forward(days=1)
        stage.receive(stage.message(NoticeKind.READY_FOR_DISCHARGE, ready=date(2014, 9, 19)))
        clock.forward(days=1)
        stage.receive(stage.message(NoticeKind.DECEASED, occurred=date(2014, 9, 20)))
        steps = [words(step) for step in page(found.get("/cases/1")).xpath("//ol[@class='steps']/li")]
        assert steps == ["Admitted 18 Sept, 08:10 2 days ago", "Ready 19 Sept", "Died 20 Sept"]
        for path in ("/", "/cases"):
            assert "18 Sept, 08:10 2 days ago 19 Sept 20 Sept" in rows(found.get(path))[0]


def test_what_is_stored_for_a_board_does_not_stand_against_a_failed_delivery(tmp_path):
    with site(tmp_path, StandingClock(), of=altered(region(), "luster", receipt=ReceiptWhen.STORED)) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("luster",)))
        stage.post.answer = failing(400, error="HTTP 400")
        stage.deliver()
        proofs = [words(proof) for proof in page(found.get("/cases/1")).xpath("//ul[@class='evidence']/li")]
        assert proofs == ["· Stored here for Luster kommune, 3 Mar, 10:00:00"]
        assert "Given up" in found.get("/cases/1").text
        assert "Accepted by" not in found.get("/cases/1").text


def test_a_cancellation_is_never_taken_for_what_it_cancels(tmp_path):
    first = "7f6c2a86-0b52-4a8e-9d34-8f1f5b0f2a11"
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED, message_id=first))
        for standing in (Standing.CORRECTION, Standing.CANCELLATION):
            stage.clock.forward(minutes=1)
            stage.receive(stage.message(NoticeKind.ADMITTED, standing=standing, refers_to=first))
        told = ["Cancellation of: Admitted", "Correction of: Admitted", "Admitted"]
        for path in ("/", "/deliveries"):
            listed = page(found.get(path)).xpath(
                "//table[caption[contains(text(), 'Deliver')]]/tbody/tr/td[1]"
            )
            assert [words(cell) for cell in listed] == told
        for number, title in enumerate(reversed(told), start=1):
            assert words(page(found.get(f"/deliveries/{number}")).find(".//h1")).endswith(
                f": {title} to Sogndal kommune"
            )
            assert f"Message {number}: {title.split(':')[0]}" in words(
                page(found.get(f"/messages/{number}")).find(".//h1")
            )
        titles = [words(t) for t in page(found.get("/cases/1")).xpath("//li[@class='delivery']//h3")]
        assert [title.split(" to ")[0] for title in titles] == [f"Delivery {t}" for t in reversed(told)]


def test_a_case_that_was_merged_leads_to_the_one_it_is_now(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED))
        stage.built.store.write(
            lambda tx: tx.execute(
                text(
                    "INSERT INTO discharge_case (id, patient, state, updated_at, merged_into) "
                    "SELECT 7, patient, state, updated_at, 1 FROM discharge_case"
                )
            )
        )
        answer = found.get("/cases/7", allow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, "/cases/1")
        assert [int(row.split()[0]) for row in rows(found.get("/cases"))] == [1]


def test_a_message_shows_what_came_and_what_became_of_it(living):
    tree = page(living.get("/messages/6"))
    assert "Held in quarantine The sender" in words(tree.xpath("//p[@class='lead']")[0])
    assert tree.xpath("//a[@href='/messages/6/release']")
    assert '"family": "Fjellheim"' in tree.xpath("//pre")[0].text


def test_what_a_message_holds_is_shown_and_never_run(living):
    found = living.get("/messages/7")
    assert SCRIPT not in found.text
    assert SCRIPT in page(found).xpath("//pre")[0].text_content()
    assert "Refused" in found.text


def test_bytes_that_are_no_text_do_not_break_the_page(living):
    assert page(living.get("/messages/9")).xpath("//pre")[0].text == "␀␁ \ufffd <b>"


def test_hostile_words_in_reasons_and_alarms_are_escaped(tmp_path):
    with site(tmp_path, StandingClock()) as found:

        def unit(tx):
            alarms.start(tx, kind=SCRIPT, subject=SCRIPT, text=SCRIPT, now=found.stage.clock())

        found.stage.built.store.write(unit)
        for path in ("/", "/alarms"):
            assert SCRIPT not in found.get(path).text
            assert "&lt;script&gt;" in found.get(path).text
        for address in ("/deliveries?party=", "/deliveries?state=", "/cases?patient=", "/"):
            assert SCRIPT not in found.get(address + SCRIPT).text


def test_the_quarantine_says_what_to_do_about_each_message(living):
    held, *refused = rows(living.get("/quarantine"))
    assert "is not in the region file" in held and "Release message 6" in held
    assert len(refused) == 3
    assert all("under a new id" in row for row in refused)


def test_overdue_deadlines_come_first_and_say_so_in_words(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        stage = found.stage
        stage.receive(stage.message(NoticeKind.ADMITTED))
        clock.forward(hours=23)
        assert [words(t.find("caption")) for t in page(found.get("/deadlines")).xpath("//table")] == [
            "Open deadlines, the earliest first"
        ]
        clock.forward(hours=3)
        tree = page(found.get("/deadlines"))
        assert [words(h) for h in tree.xpath("//h2")] == ["Overdue", "To come"]
        assert "Early notice ! 2 h overdue" in words(tree.xpath("//tbody/tr")[0])
        assert "1 deadline overdue" in words(page(found.get("/")).xpath("//ul[@class='figures']")[0])


# --- acting on alarms -------------------------------------------------------------------------------------


@pytest.fixture
def missed(tmp_path):
    """Lærdal sjukehus has missed the early notice."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        found.stage.receive(found.stage.message(NoticeKind.ADMITTED))
        clock.forward(hours=25)
        built = found.stage.built
        Deadlines(
            store=built.store, cases=built.cases, outbox=built.outbox, register=built.register, clock=clock
        )()
        yield found


def form_of(found, action: str) -> dict[str, str]:
    """The hidden fields of the form that does `action` to the first alarm."""
    form = page(found.get("/alarms")).xpath(f"//form[@action='/alarms/1/{action}']")[0]
    return {field.get("name"): field.get("value") for field in form.xpath(".//input[@type='hidden']")}


def test_a_seen_alarm_leaves_the_top_of_the_pages_and_stays_in_the_list(missed):
    assert page(missed.get("/cases")).xpath("//aside")
    answer = missed.post("/alarms/1/seen", data=form_of(missed, "seen"))
    assert answer.url.endswith("/alarms")
    assert "! Open, seen" in rows(answer)[0]
    assert rows(answer)[0].endswith("Operator 4 Mar, 11:00")
    cases = page(missed.get("/cases"))
    assert not cases.xpath("//aside")
    assert words(cases.xpath("//*[contains(@class, 'alarm-count')]")[0]) == "1 open alarm"


def test_recording_what_was_done_ends_the_alarm_of_a_missed_deadline(missed):
    assert "1 overdue deadline" in summary_of(missed)
    said = {"why": "told by telephone"}
    answer = missed.post("/alarms/1/close", data=form_of(missed, "close") | said)
    assert "✓ Over" in rows(answer)[0]
    assert "Recorded by Operator: told by telephone" in rows(answer)[0]
    assert rows(missed.get("/deadlines")) == []
    told = words(page(missed.get("/cases/1")).xpath("//li[@class='note'][last()]")[0])
    assert "Deadline 1 early notice: recorded by hand: told by telephone By Operator." in told
    assert "To be seen to" not in summary_of(missed)


@pytest.mark.parametrize("action", ["seen", "close"])
def test_another_site_cannot_press_a_button_here(missed, action):
    fields = {"why": "x"}
    assert missed.post(f"/alarms/1/{action}", data=fields).status_code == 403
    assert missed.post(f"/alarms/1/{action}", data=fields | {"token": "0" * 64}).status_code == 403
    genuine = form_of(missed, action) | fields
    crossed = missed.post(f"/alarms/1/{action}", data=genuine, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    assert "Open" in rows(missed.get("/alarms"))[0] and "Open, seen" not in rows(missed.get("/alarms"))[0]


@pytest.mark.parametrize(
    ("path", "said", "status"),
    [
        ("/alarms/1/close", {}, 400),
        ("/alarms/1/close", {"why": " "}, 400),
        ("/alarms/99/seen", {}, 404),
        (f"/alarms/{'9' * 30}/seen", {}, 404),
    ],
)
def test_an_action_that_lacks_something_does_nothing(missed, path, said, status):
    assert missed.post(path, data=form_of(missed, "seen") | said).status_code == status
    assert "! Open " in rows(missed.get("/alarms"))[0]


def test_who_has_signed_in_is_who_has_seen_it_whatever_the_form_says(guarded):
    stage = guarded.stage
    stage.write(
        lambda tx: alarms.start(tx, kind="mailbox", subject="mailbox a", text="gone", now=stage.clock())
    )
    nobody = guarded.seen_by_nobody()
    assert nobody.post("/alarms/1/seen", data={"by": "Solveig"}).status_code == 401
    form = page(guarded.get("/alarms")).xpath("//form[@action='/alarms/1/seen']")[0]
    assert not form.xpath(".//input[@name='by']")
    fields = {"by": "Solveig", "token": form.xpath(".//input[@name='token']/@value")[0]}
    assert nobody.post("/alarms/1/seen", data=fields).status_code == 401
    assert "Marta Vik 3 Mar, 10:00" in rows(guarded.post("/alarms/1/seen", data=fields))[0]


def test_endpoints_show_their_health_and_what_waits(living):
    found = {row.split()[0]: row for row in rows(living.get("/endpoints"))}
    assert found["luster"].startswith("luster ✕ Does not answer HTTP 503 1 oldest 1 min ago 0")
    assert "✓ Receiving 0 1" in found["sogndal"]
    assert "· Nothing sent yet 0 0" in found["vik"]
    assert "Lærdal kommune, Sogn lokalmedisinske senter" in found["laerdal"]


def test_a_paused_endpoint_says_so(tmp_path):
    with site(tmp_path, StandingClock()) as found:
        now = found.stage.clock()
        found.stage.built.store.write(lambda tx: deliveries.pause(tx, "vik", now, "Marta"))
        vik = next(row for row in rows(found.get("/endpoints")) if row.startswith("vik"))
        assert "! Paused since 3 Mar, 10:00" in vik
        assert "Paused by a person" in found.get("/").text


# --- what is not there, and who may not look --------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/cases/99",
        "/deliveries/99",
        "/messages/99",
        "/cases/x",
        "/cases/-1",
        f"/deliveries/{'9' * 30}",
        "/x/y",
    ],
)
def test_what_does_not_exist_is_a_page_with_a_way_on(living, path):
    found = living.get(path)
    assert found.status_code == 404
    tree = page(found)
    assert words(tree.find(".//h1")) == "Not found"
    assert tree.xpath("//main//a[@href='/deliveries']")
    assert "99" not in words(tree.find(".//main"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with site(tmp_path_factory.mktemp("guarded"), StandingClock(), people=(OPERATOR,)) as found:
        yield found


@pytest.mark.parametrize("path", [*(page.path for page in PAGES), "/nowhere"])
def test_nobody_sees_a_page_without_signing_in_and_is_led_back_afterwards(guarded, path):
    asked = re.sub(r"{\w+}", "1", path)
    found = guarded.seen_by_nobody().get(asked, allow_redirects=False)
    assert found.status_code == 303
    assert found.headers["Location"] == ("/sign-in" if asked == "/" else f"/sign-in?to={asked}")
    assert found.headers["Cache-Control"] == "no-store"


def test_an_operator_sees_the_pages(guarded):
    assert guarded.get("/cases").status_code == 200


def test_a_host_that_the_browser_did_not_mean_is_turned_away(living):
    assert living.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert living.get("/", headers={"Host": "localhost:1"}).status_code == 200


def test_a_store_that_does_not_answer_is_a_page_too(tmp_path, capfd):
    with site(tmp_path, StandingClock()) as found:
        found.stage.receive(found.stage.message(NoticeKind.ADMITTED))
        with found.stage.built.store.engine.execution_options(writes=True).begin() as connection:
            connection.execute(text("ALTER TABLE delivery RENAME TO gone"))
        answer = found.get("/deliveries")
        assert answer.status_code == 503
        assert "The store does not answer" in answer.text
        assert "alarm-count" in answer.text  # the table of alarms is there
        assert "Traceback" not in capfd.readouterr().err


# --- readmissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("acute", "what"), [(True, "Readmission"), (None, "Possible readmission")])
def test_two_cases_of_a_readmission_lead_to_each_other_in_words(tmp_path, acute, what):
    clock = StandingClock(datetime(2014, 3, 20, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock) as found:
        play = found.stage
        for kind, day in ((NoticeKind.ADMITTED, 3), (NoticeKind.DISCHARGED, 5), (NoticeKind.ADMITTED, 10)):
            at = datetime(2014, 3, day, 9, 0, tzinfo=OSLO)
            more = {"acute": acute} if day == 10 else {}
            assert play.receive(play.message(kind, at=at, **more)).outcome == "accepted"
        earlier, later = found.get("/cases/1"), found.get("/cases/2")
        assert f"{what} After the discharge of case 1" in words(page(later).xpath("//dl[@class='facts']")[0])
        facts = words(page(earlier).xpath("//dl[@class='facts']")[0])
        assert f"Admitted again Case 2 , 10 Mar, 09:00 10 days ago : {what.lower()}" in facts
        for tree, other, title in (
            (page(earlier), 2, f"Admitted again: {what.lower()}"),
            (page(later), 1, f"{what} after an earlier stay"),
        ):
            (event,) = tree.xpath(f"//ol[@class='timeline']/li[.//a[@href='/cases/{other}']]")
            assert title in words(event)
            assert ("do not tell enough" in words(event)) is (acute is None)
        why = found.get("/cases/1/why")
        assert "day 5 after the discharge" in words(page(why))
        assert "reinnleggelse" in words(page(why))
        assert page(why).xpath("//h2/a/@href") == ["/cases/2"]
