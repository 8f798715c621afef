"""The page of a stay over real HTTP: what each reader finds there, and what nobody does.

The messages are those of a stroke in Lærdal (fixtures/plo) and the project's own FHIR.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from time import process_time

import pytest
import requests
from lxml import html

from adapter.discharge.notices import AnswerValue, NoticeKind, Standing
from adapter.fhir.bundles import FNR, Subject
from adapter.fhir.wire import parse, to_json
from adapter.messaging.people import Person, Role
from adapter.store import emergencies, tables
from tests.catalogs import PAGE_LOCALES, TOLD_LOCALES, catalog, compiled
from tests.conftest import OSLO, StandingClock
from tests.planners import CENTRE, STRANGER, VANNAS, WARD, Theatre, swedish
from tests.stage import TORBJORN, Stage, failing

from .conftest import SCRIPT, Site, site
from .looking import at_the_door, care, municipality, ward

K = NoticeKind
STROKE = Path(__file__).parents[2] / "fixtures" / "plo" / "home-after-a-stroke"
NUMBER = "17866844291"
AGNIESZKA = Subject(identifiers=((FNR, NUMBER),), family="Tønjum", given="Agnieszka", gender="female")
LANGUAGES = ("nb", "nn", "sv", "da", "en")


def page(found):
    return html.fromstring(found.text)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(found, heading: str) -> str:
    """What stands under a heading of that id."""
    (part,) = page(found).xpath(f"//section[@aria-labelledby='{heading}']")
    return words(part)


def main(found) -> str:
    return words(page(found).xpath("//main")[0])


def tell(stage: Stage, content: bytes) -> None:
    done = stage.receive(content, channel="http")
    assert done.outcome == "accepted", done.reason


def a_stroke(stage: Stage, clock: StandingClock) -> None:
    """Agnieszka's days in hospital; the report is corrected, and a second one brings an attachment."""
    clock.at = datetime(2014, 10, 6, 12, 0, tzinfo=OSLO)
    tell(stage, stage.plo(K.ADMITTED, receivers=("laerdal",), subject=AGNIESZKA))
    for name, hours in (("early-warning", 6), ("admission-report", 6), ("needs-updated-again", 87)):
        clock.forward(hours=hours)
        tell(stage, (STROKE / f"{name}.plo-1.6.xml").read_bytes())
    clock.at = datetime(2014, 10, 10, 15, 0, tzinfo=OSLO)
    tell(stage, stage.plo(K.READY_FOR_DISCHARGE, receivers=("laerdal",), subject=AGNIESZKA, ready=clock()))
    clock.forward(hours=1)
    asked = "Kan de ta imot henne måndag?"
    tell(stage, stage.plo(K.ENQUIRY, receivers=("laerdal",), subject=AGNIESZKA, text=asked))
    clock.at = datetime(2014, 10, 13, 16, 0, tzinfo=OSLO)
    for name in ("discharge-report", "discharge-report-corrected", "discharge-report-with-attachment"):
        tell(stage, (STROKE / f"{name}.plo-1.6.xml").read_bytes())
        clock.forward(minutes=30)
    clock.at = datetime(2014, 10, 14, 10, 0, tzinfo=OSLO)


@pytest.fixture(scope="module")
def stroke(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = StandingClock()
    with site(tmp_path_factory.mktemp("stroke"), clock) as found:
        a_stroke(found.stage, clock)
        yield found


def looked(place: Site, person: Person, path: str = "/stays/1", language: str = "en"):
    with at_the_door(person):
        return place.get(path, headers={"Accept-Language": language}, allow_redirects=False)


# --- what a municipality finds ----------------------------------------------------------------------------


def test_the_municipality_is_told_who_where_and_what_it_must_do_now(stroke):
    found = looked(stroke, municipality("laerdal"))
    assert found.status_code == 200
    assert words(page(found).xpath("//h1")[0]) == "Agnieszka Tønjum"
    text = main(found)
    assert "46 years old" in text and "woman" in text
    assert "Lærdal sjukehus" in text and "Lærdal kommune" in text
    todo = section(found, "now")
    assert "Answer the question" in todo and "Asked by Lærdal sjukehus" in todo
    assert "29 days left" in todo and "By Lærdal kommune" in todo
    assert "§" in section(found, "others")


def test_no_identity_number_stands_anywhere_on_it(stroke):
    for person in (municipality("laerdal"), ward()):
        for path in ("/stays/1", "/stays/1?show=contacts", "/downtime"):
            found = looked(stroke, person, path)
            assert NUMBER not in found.text and NUMBER[6:] not in found.text
    assert page(looked(stroke, ward())).xpath("//title/text()")[0].startswith("Stay 1 ")


def test_what_was_told_stands_in_plain_words_with_who_told_it_and_when(stroke):
    found = looked(stroke, municipality("laerdal"))
    medicines = section(found, "medicines")
    assert "Told by Lærdal sjukehus, Mon, 13 Oct 15:32" in medicines.replace("Mon 13", "Mon, 13")
    assert "Metoprolol 50 mg, tablett 1 tablett kl 08" in medicines
    assert "Trimetoprim gav utslett i 2011" in section(found, "careful")
    assert "Personlig hygiene 3 of 5: needs some help" in section(found, "function")
    assert "Magne Tønjum" in section(found, "contacts") and "90900161" in section(found, "contacts")
    assert "Heimesjukepleie" in section(found, "needs")
    assert "Tryggleiksalarm" in section(found, "services")
    assert "Rullator" in section(found, "aids")
    assert "medisinsk poliklinikk" in section(found, "appointments")
    assert "Kan de ta imot henne måndag?" in section(found, "letters")


def test_of_a_report_that_was_corrected_only_the_correction_is_told(stroke):
    """The first report said three times a day; the corrected one does not (fixtures)."""
    found = looked(stroke, municipality("laerdal"), "/stays/1?show=medicines")
    newest = page(found).xpath("//section[@aria-labelledby='medicines']//ul")[0]
    assert "Selexid 200 mg, tablett 1 tablett kl 08 og 22" in words(newest)
    assert (
        len(page(found).xpath("//section[@aria-labelledby='medicines']//ul")) == 3
    )  # two reports, one before
    events = page(found).xpath("//ol[@class='timeline']/li")
    corrected = [words(e) for e in events if "corrected later" in words(e)]
    assert len(corrected) == 2  # the report, and the early notice by the later needs


def test_the_report_can_be_read_and_its_attachment_saved(stroke):
    person = municipality("laerdal")
    first = page(looked(stroke, person))
    (document, *_) = first.xpath(
        "//section[@aria-labelledby='documents']//a[contains(@href, '/documents/')]/@href"
    )
    report = looked(stroke, person, document)
    assert report.status_code == 200 and "Utskrivningsrapport" in main(report)
    assert "Metoprolol" in main(report) and NUMBER not in report.text
    (attached,) = first.xpath("//a[contains(@href, '/attachments/')]/@href")
    got = looked(stroke, person, attached)
    assert got.content.startswith(b"%PDF")
    assert got.headers["content-type"] == "application/pdf"
    assert got.headers["content-disposition"].startswith(
        'attachment; filename="Treningsprogram_for_hand_og_arm.pdf"'
    )
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["x-content-type-options"] == "nosniff" and "no-store" in got.headers["cache-control"]


def test_the_ward_sees_how_far_what_it_sent_has_come_and_not_the_question_as_its_own(stroke):
    found = looked(stroke, ward())
    sent = section(found, "receipts")
    assert "Lærdal kommune" in sent and "Receipt" in sent
    assert "Answer the question" not in section(found, "now")
    assert "6 days overdue" in section(found, "now") or "overdue" in section(found, "now")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_well_made_in_every_language(stroke, language):
    for path in ("/stays/1", "/stays/1?show=function", "/downtime"):
        found = looked(stroke, municipality("laerdal"), path, language)
        tree = page(found)
        ids = tree.xpath("//@id")
        assert len(ids) == len(set(ids)) and len(tree.xpath("//h1")) == 1
        assert set(tree.xpath("//@aria-labelledby")) <= set(ids)
        assert not tree.xpath(
            '//script[not(starts-with(@src, "/static/"))] | //style | //@style | //@onclick | //iframe'
        )
        assert len(found.content) < 200_000
        assert not re.search(r">\s*(stay-|notice-|manages-|sex-)", found.text)


# --- who finds nothing ------------------------------------------------------------------------------------


def test_a_stay_of_others_is_as_if_it_were_not_there(stroke):
    for path in ("/stays/{}", "/stays/{}/documents/x", "/stays/{}/attachments/DocumentReference/x/0"):
        theirs = looked(stroke, municipality("sogndal"), path.format(1))
        nobodys = looked(stroke, municipality("sogndal"), path.format(999))
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert main(theirs) == main(nobodys)
    assert looked(stroke, municipality("sogndal"), "/stays/one").status_code == 404
    assert "Tønjum" not in looked(stroke, municipality("sogndal"), "/downtime").text


def test_a_document_of_another_stay_is_not_found_under_this_one(stroke):
    mine = looked(stroke, municipality("laerdal"), "/stays/1/documents/no-such-document")
    assert mine.status_code == 404


def test_operators_and_auditors_have_no_such_page(stroke):
    for role in (Role.OPERATIONS, Role.AUDITOR):
        person = Person(id="x", name="Per", roles=frozenset({role}), parties=None)
        for path in ("/stays/1", "/downtime"):
            found = looked(stroke, person, path)
            assert found.status_code == 403 and "Tønjum" not in found.text


# --- two halves of one case -------------------------------------------------------------------------------


@pytest.fixture
def halves(tmp_path: Path, store_url: str) -> Iterator[Site]:
    """Lærdal sjukehus tells Sogndal one thing and Luster another of the same stay."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, store=store_url) as found:
        stage = found.stage
        for receiver, needs, asked in (
            ("sogndal", "Treng rullator heime", "Kven hentar nøkkelen i Sogndal?"),
            ("luster", "Treng hjelp til insulin", "Kven køyrer frå Luster?"),
        ):
            tell(stage, stage.message(K.ADMITTED, receivers=(receiver,), encounter="LS-1"))
            tell(stage, stage.message(K.CARE_NEEDS, receivers=(receiver,), encounter="LS-1", text=needs))
            tell(stage, stage.message(K.ENQUIRY, receivers=(receiver,), encounter="LS-1", text=asked))
            clock.forward(minutes=5)
        ready = stage.message(K.READY_FOR_DISCHARGE, receivers=("luster",), encounter="LS-1", ready=clock())
        tell(stage, ready)
        answered = stage.message(
            K.ANSWER,
            sender="luster",
            receivers=("laerdal-sjukehus",),
            encounter="LS-1",
            answer=AnswerValue.CANNOT_RECEIVE,
            text="Vi har ikkje plass på Luster omsorgssenter",
        )
        tell(stage, answered)
        clock.forward(minutes=5)
        yield found


def test_each_party_sees_its_own_half_and_nothing_of_the_other(halves):
    assert len(halves.stage.rows(tables.case)) == 1
    sogndal, luster = (looked(halves, municipality(one)) for one in ("sogndal", "luster"))
    assert "Treng rullator heime" in sogndal.text and "Kven hentar nøkkelen" in sogndal.text
    assert "Treng hjelp til insulin" in luster.text and "Kven køyrer" in luster.text
    for secret in ("Luster", "insulin", "køyrer", "plass"):
        assert secret not in sogndal.text, secret
    tree = page(sogndal)
    (forms,) = tree.xpath("//section[@id='actions']")  # whose choices are words, and no answer of anybody's
    assert "cannot receive" not in words(tree).replace(words(forms), "")
    for secret in ("Sogndal", "rullator", "nøkkelen"):
        assert secret not in luster.text, secret


def test_where_the_patient_is_follows_from_what_the_reader_was_told(halves):
    """Readiness was told to Luster only; to Sogndal the patient is admitted, and no answer is due."""
    sogndal, luster, theirs = (
        looked(halves, one) for one in (municipality("sogndal"), municipality("luster"), ward())
    )
    steps = [
        [words(li) for li in page(one).xpath("//ol[contains(@class, 'steps')]/li")]
        for one in (sogndal, luster, theirs)
    ]
    assert steps[0][1].endswith("–") and not steps[1][1].endswith("–") and not steps[2][1].endswith("–")
    assert "insulin" in theirs.text and "rullator" in theirs.text  # the hospital has told both


def test_the_downtime_list_of_each_has_its_own_half(halves):
    for one, other in (("sogndal", "Luster"), ("luster", "Sogndal")):
        found = looked(halves, municipality(one), "/downtime")
        assert "Synnøve Fjellheim" in main(found) and other not in main(found)


def test_emergency_access_shows_the_whole_stay_for_a_while_and_lets_nobody_act(halves):
    stage, stranger = halves.stage, municipality("vik")
    assert looked(halves, stranger).status_code == 404
    (row,) = stage.rows(tables.case)
    until = stage.clock() + timedelta(hours=1)
    given = {"person": stranger.id, "why": "fall i heimen", "until": until}
    stage.write(
        lambda tx: emergencies.begin(tx, name="Solveig", patient=row["patient"], now=stage.clock(), **given)
    )
    found = looked(halves, stranger)
    assert "insulin" in found.text and "rullator" in found.text
    assert not page(found).xpath("//section[@id='actions']//form")
    stage.clock.forward(hours=2)
    assert looked(halves, stranger).status_code == 404


# --- what happened to notices -----------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, StandingClock()) as found:
        yield found


def test_a_correction_says_what_it_changed_and_a_cancellation_is_struck(place):
    stage, clock = place.stage, place.stage.clock
    first = "6f6f2f6e-8c3b-4a55-9f4b-0d9f3c1b2a01"
    day = clock().date()
    told = {"receivers": ("sogndal",), "encounter": "LS-1"}
    tell(stage, stage.message(K.ADMITTED, **told))
    planned = {"planned_discharge": day + timedelta(days=2)}
    tell(stage, stage.message(K.PLANNED_DISCHARGE, message_id=first, **planned, **told))
    clock.forward(minutes=10)
    moved = {"planned_discharge": day + timedelta(days=4), "refers_to": first}
    tell(stage, stage.message(K.PLANNED_DISCHARGE, standing=Standing.CORRECTION, **moved, **told))
    second = "6f6f2f6e-8c3b-4a55-9f4b-0d9f3c1b2a02"
    tell(stage, stage.message(K.NOTE, message_id=second, text="Feil pasient", **told))
    clock.forward(minutes=10)
    tell(stage, stage.message(K.NOTE, standing=Standing.CANCELLATION, refers_to=second, **told))
    found = looked(place, municipality("sogndal"))
    (changes,) = page(found).xpath("//ul[contains(@class, 'changes')]")
    assert "planned discharge: Wed" in words(changes) and "Fri" in words(changes)
    assert changes.xpath(".//del") and changes.xpath(".//ins")
    assert page(found).xpath("//ol[@class='timeline']//s")
    assert "Feil pasient" not in found.text
    assert "cancelled" in section(found, "timeline")


def test_an_id_that_was_merged_leads_to_the_stay_that_it_is_now(place, store_url, tmp_path):
    stage = place.stage
    told = {"receivers": ("sogndal",)}
    tell(stage, stage.message(K.ADMITTED, encounter="LS-1", **told))
    tell(stage, stage.message(K.ADMITTED, encounter="LS-1", subject=TORBJORN, receivers=("luster",)))
    stage.write(lambda tx: tx.execute(tables.case.insert().values(
        id=77, patient=stage.rows(tables.case)[0]["patient"], state="admitted", merged_into=1,
        updated_at=stage.clock(),
    )))  # fmt: skip
    found = looked(place, municipality("sogndal"), "/stays/77")
    assert (found.status_code, found.headers["location"]) == (307, "/stays/1")
    assert looked(place, municipality("luster"), "/stays/77").status_code == 404


def test_later_needs_say_what_they_changed_of_the_earlier_ones(stroke):
    """Helseopplysninger sent anew replace the earlier ones (N-12): the planned day moved by one."""
    found = looked(stroke, municipality("laerdal"))
    changes = [words(ul) for ul in page(found).xpath("//ul[contains(@class, 'changes')]")]
    assert any("planned discharge: Sun" in told and "Mon" in told for told in changes)


def test_what_we_have_sent_is_waiting_then_delivered_or_given_up(place):
    stage = place.stage
    tell(stage, stage.message(K.ADMITTED, receivers=("sogndal",), encounter="LS-1"))
    assert "waiting" in section(looked(place, ward()), "receipts")
    stage.deliver()
    assert "delivered" in section(looked(place, ward()), "receipts")
    stage.post.answer = failing(400, error="no")
    tell(stage, stage.message(K.NOTE, receivers=("sogndal",), encounter="LS-1", text="Hei"))
    stage.deliver()
    sent = section(looked(place, ward()), "receipts")
    assert "given up" in sent or "given-up" in sent or "refused" in sent


# --- a SIP ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    with swedish(f"sqlite:///{tmp_path_factory.mktemp('sip')}/store.db") as played:
        played.scene.play()
        yield played


def at_a_sip(played: Theatre, person: Person):
    with at_the_door(person):
        headers = {"Accept-Language": "sv"}
        return requests.get(f"{played.url}/stays/1", headers=headers, timeout=10)


def test_those_who_plan_together_see_the_plan_with_its_tasks_and_contact(sip):
    for person in (care(Role.PRIMARY_CARE, CENTRE), municipality(VANNAS), ward(WARD)):
        found = at_a_sip(sip, person)
        assert found.status_code == 200
        plan = section(found, "plan-1")
        assert "SIP efter höftfraktur" in plan and "Hemsjukvård varje morgon" in plan
        assert plan.count("Läkemedelsgenomgång") == 1
        assert "Alendronsyra 70 mg" in section(found, "medicines")
        assert "Fast vårdkontakt" in section(found, "contacts")
        (link,) = page(found).xpath("//section[@aria-labelledby='plan-1']//a/@href")
        with at_the_door(person):
            assert requests.get(sip.url + link, timeout=10).status_code == 200


def test_whoever_takes_no_part_in_a_sip_finds_nothing(sip):
    found = at_a_sip(sip, municipality(STRANGER))
    assert found.status_code == 404 and "Tolvan" not in found.text


def test_a_correction_of_the_call_tells_the_new_time_of_the_meeting(sip):
    found = at_a_sip(sip, municipality(VANNAS))
    told = [words(ul) for ul in page(found).xpath("//ul[contains(@class, 'changes')]")]
    assert any("möte: fre 8 mars 13:00 → mån 11 mars 10:00" in one for one in told)


# --- protected identity -----------------------------------------------------------------------------------


@pytest.fixture
def hidden(place: Site) -> Site:
    stage = place.stage
    told = {"receivers": ("sogndal",), "encounter": "LS-1"}
    for content in (stage.message(K.ADMITTED, **told), stage.message(K.NOTE, text=SUPPORT, **told)):
        tell(stage, shielded(content))
    return place


SUPPORT = "Synnøve treng støtte"


def shielded(content: bytes) -> bytes:
    """The message about somebody with protected identity."""
    bundle = parse(content)
    (patient,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    patient["meta"] = {"security": [label]}
    patient["address"] = [{"line": ["Løynvegen 7"], "city": "Kaupanger"}]
    patient["telecom"] = [{"system": "phone", "value": "99887766"}]
    patient["contact"] = [{"name": {"text": "Arne Fjellheim"}}]
    return to_json(bundle)


def test_named_staff_see_the_name_of_a_protected_person_and_neither_address_nor_kin(hidden):
    found = looked(hidden, municipality("sogndal"))
    assert "Synnøve Fjellheim" in main(found) and "identity is protected" in main(found)
    for secret in ("Løynvegen", "Kaupanger", "99887766", "Arne"):
        assert secret not in found.text


def test_to_an_account_of_several_people_a_protected_persons_stay_is_not_there(hidden):
    several = care(Role.MUNICIPALITY, "sogndal", named=False)
    found, nowhere = looked(hidden, several), looked(hidden, several, "/stays/99")
    assert (found.status_code, main(found)) == (404, main(nowhere))
    for secret in ("Synnøve", "Fjellheim", "Løynvegen", "99887766", "Arne", "støtte"):
        assert secret not in found.text


def test_no_list_says_who_a_protected_person_is(hidden):
    found = looked(hidden, municipality("sogndal"), "/downtime")
    assert "Protected identity" in main(found)
    assert "Synnøve" not in found.text and "Løynvegen" not in found.text


def test_the_list_of_an_account_of_several_people_has_no_row_of_a_protected_person(hidden):
    tell(hidden.stage, hidden.stage.message(K.ADMITTED, subject=TORBJORN, encounter="LS-2"))
    found = looked(hidden, care(Role.WARD, "laerdal-sjukehus", named=False), "/downtime")
    assert "Vik-Hansen" in main(found)
    assert "Protected identity" not in main(found) and "/stays/1" not in found.text


def test_nobody_who_is_not_listed_takes_a_place_on_the_list(hidden, monkeypatch):
    """Of a list that is full: who is protected, and comes first, leaves the place to who can be shown."""
    tell(hidden.stage, hidden.stage.message(K.ADMITTED, subject=TORBJORN, encounter="LS-2"))
    monkeypatch.setattr("adapter.web.stay.MOST_STAYS", 1)
    several = care(Role.WARD, "laerdal-sjukehus", named=False)
    assert "Vik-Hansen" in main(looked(hidden, several, "/downtime"))
    assert "Vik-Hansen" not in main(looked(hidden, care(Role.WARD, "laerdal-sjukehus"), "/downtime"))


# --- a hostile message, and a long one --------------------------------------------------------------------


def test_nothing_that_a_message_brings_is_run_or_steers_the_page(place):
    stage = place.stage
    told = {"receivers": ("sogndal",), "encounter": "LS-1"}
    tell(stage, stage.message(K.ADMITTED, **told))
    text = f"{SCRIPT} \u202etxet drawkcab\u202c \x00 {'a' * 50} z\u0335\u0321\u0344algo"
    tell(stage, stage.message(K.ENQUIRY, text=text.replace("\x00", ""), **told))
    bundle = parse(stage.message(K.CARE_NEEDS, text="x", **told))
    (report,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Composition"]
    written = "Treng <b>hjelp</b> &lt;script&gt;alert(1)&lt;/script&gt;"
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{written}</p></div>'
    report["text"] = {"status": "additional", "div": div}
    report["title"] = SCRIPT
    tell(stage, to_json(bundle))
    huge = stage.message(K.NOTE, text="lang " * 200_000, **told)
    tell(stage, huge)
    found = looked(place, municipality("sogndal"))
    tree = page(found)
    assert found.status_code == 200 and len(found.content) < 200_000
    assert not tree.xpath('//script[not(starts-with(@src, "/static/"))] | //main//b | //@onerror')
    assert "Treng hjelp <script>alert(1)</script>" in section(found, "needs")
    assert "\u202e" not in found.text
    (document,) = tree.xpath("//a[contains(@href, '/documents/')]/@href")
    assert not page(looked(place, municipality("sogndal"), document)).xpath(
        '//script[not(starts-with(@src, "/static/"))] | //main//b'
    )


def noted(stage: Stage, number: int) -> None:
    """So many notices more of a stay, as its messages would have told them."""
    (row,) = stage.rows(tables.case)
    (first,) = [case for _, case in _folded(stage, row["patient"])]
    one = first.entries[0].notice
    kinds = (K.NOTE, K.ENQUIRY, K.PLANNED_DISCHARGE)
    told = [
        replace(
            one,
            kind=kinds[n % 3],
            message_id=str(uuid.uuid4()),
            occurred=one.sent_at + timedelta(minutes=n),
            sent_at=one.sent_at + timedelta(minutes=n),
            text=f"Notat {n}",
        )
        for n in range(number)
    ]
    cases = stage.built.cases
    learned = [(notice, None) for notice in told]
    stage.write(lambda tx: cases.learn(tx, row["patient"], learned, stage.clock()))


def _folded(stage: Stage, patient: str):
    with stage.built.store.read() as tx:
        return stage.built.cases.folded(tx, patient)


def test_a_stay_of_three_hundred_notices_is_shown_in_part_and_can_be_shown_whole(place):
    stage = place.stage
    tell(stage, stage.message(K.ADMITTED, receivers=("sogndal",), encounter="LS-1"))
    noted(stage, 299)
    stage.clock.forward(hours=6)
    found = looked(place, municipality("sogndal"))
    assert len(page(found).xpath("//ol[@class='timeline']/li")) == 60
    assert "Show all 300" in section(found, "timeline") and "Show all 200" in section(found, "letters")
    assert section(found, "now").count("Answer the question") == 5
    assert len(found.content) < 200_000
    whole = looked(place, municipality("sogndal"), "/stays/1?show=timeline")
    assert len(page(whole).xpath("//ol[@class='timeline']/li")) == 300


def test_a_stay_of_sixty_notices_takes_less_than_three_hundred_milliseconds(place):
    """Of the processor, which several tests may share; client and server together."""
    stage = place.stage
    told = {"receivers": ("sogndal",), "encounter": "LS-1"}
    tell(stage, stage.message(K.ADMITTED, **told))
    for name in ("Treng rullator", "Treng hjelp om morgonen"):
        tell(stage, stage.message(K.CARE_NEEDS, text=name, **told))
    noted(stage, 57)
    stage.clock.forward(hours=6)
    looked(place, municipality("sogndal"))
    times = []
    for _ in range(5):
        began = process_time()
        found = looked(place, municipality("sogndal"))
        times.append(process_time() - began)
    assert found.status_code == 200 and min(times) < 0.3, times
    assert len(found.content) < 200_000


# --- the catalogs -----------------------------------------------------------------------------------------

STAY = PAGE_LOCALES / "stay"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalog_is_that_of_the_file(language):
    assert (STAY / f"{language}.mo").read_bytes() == compiled(language, STAY), (
        "run `python -m tests.catalogs`"
    )


def test_every_language_has_every_word_with_the_same_places():
    places = re.compile(r"\{\w+\}")
    whole = {m.id: m for m in catalog("nb", STAY) if m.id}
    for language in ("nn", "sv", "da"):
        other = {m.id: m for m in catalog(language, STAY) if m.id}
        assert whole.keys() == other.keys(), language
        for key, m in other.items():
            text = m.string if isinstance(m.string, str) else m.string[1]
            told = key if isinstance(key, str) else key[1]
            assert text, key
            assert set(places.findall(text)) == set(places.findall(told)), key
    codes = {key for key in whole if isinstance(key, str) and re.fullmatch(r"[a-z]+(-[\w]+)+", key)}
    english = {m.id for m in catalog("en", STAY) if m.id}
    assert codes - {"born {day}"} <= english


def test_every_sentence_of_the_templates_and_modules_is_in_the_catalogs():
    root = Path(__file__).parents[2] / "adapter" / "web"
    sources = [*(root / "templates" / "stay").glob("*.html"), *root.glob("stay*.py")]
    call = re.compile(r'(?:\b_|\bwords\.of|self\.of)\(\s*"([^"]+)"')
    said = {found for path in sources for found in call.findall(path.read_text())}
    places = (PAGE_LOCALES, TOLD_LOCALES)
    folders = [path for place in places for path in place.iterdir() if (path / "nb.po").exists()]
    every = [m for folder in folders for m in catalog("nb", folder) if m.id]
    known = {m.id if isinstance(m.id, str) else m.id[0] for m in every}
    assert said - known - {"late"} == set()
