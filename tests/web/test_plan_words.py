"""How a plan is said in five languages."""

import ast
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.fhir.codes import REQUIRED
from adapter.fhir.differences import plan_differences
from adapter.fhir.plan import Amount, Part, PlanKind, Repeat, Span
from adapter.web import pdf, plan_layout, plan_pages, plan_words
from adapter.web.plan_layout import changes_sections, sheet
from adapter.web.plan_words import PlanWords
from adapter.web.words import LANGUAGES
from tests.catalogs import PLAN_LOCALES, catalog, compiled
from tests.plan_fixtures import SIP, all_of, bundle, care_plan, changed, read

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2024, 4, 10, 7, 5, tzinfo=UTC)
every = pytest.mark.parametrize("language", LANGUAGES)


def say(language):
    return PlanWords(language=language, zone=OSLO)


# --- the catalogs -----------------------------------------------------------------------------------------


@every
def test_the_compiled_catalog_is_that_of_the_file(language):
    made = (PLAN_LOCALES / f"{language}.mo").read_bytes()
    assert made == compiled(language, PLAN_LOCALES), "run `python -m tests.catalogs`"


@pytest.mark.parametrize("language", ["sv", "nb", "nn", "da"])
def test_every_language_has_all_the_words_and_the_same_places_in_them(language):
    english = {m.id: m for m in catalog("en", PLAN_LOCALES) if m.id}
    other = {m.id: m for m in catalog(language, PLAN_LOCALES) if m.id}
    assert english.keys() <= other.keys()
    sizes = {len(other), len([m for m in catalog("nn", PLAN_LOCALES) if m.id])}
    assert len(sizes) == 1
    for key, message in other.items():
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings), key
        if isinstance(key, str) and "{" in key:
            assert set(re.findall(r"{\w+}", strings[0])) == set(re.findall(r"{\w+}", key)), key


@every
def test_no_word_is_wanting(language):
    """Every sentence that the code says, and every code that FHIR requires of what a plan is made of."""
    known = {m.id if isinstance(m.id, str) else m.id[0] for m in catalog("sv", PLAN_LOCALES) if m.id}
    said = set()
    for module in (plan_layout, plan_pages, plan_words, pdf):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("of", "say", "_problem"):
                said |= {one.value for one in node.args if isinstance(one, ast.Constant)} - {401, 403, 404}
    said -= {429, 500, 503}
    said |= {plan_pages._NO_PLAN, plan_pages._NO_VERSION, plan_pages._NAMED_ONLY}
    laid = sheet(read(bundle()), say("en"), NOW)
    said |= {text for it in laid.sections for text in (it.heading, *it.columns)} | {t for t, _ in laid.facts}
    said |= set(plan_layout._HEADINGS.values())
    assert said <= known
    families = {
        "plan": "CarePlan",
        "action": "Task",
        "meeting": "Appointment",
        "document": "DocumentReference",
    }
    for family, kind in families.items():
        for code in REQUIRED[kind]["status"]:
            assert say(language).code(family, code) != code or language == "en"
            assert f"{family}-{code}" in known
    assert {f"action-{code}" for code in REQUIRED["ServiceRequest"]["status"]} <= known
    assert {f"goal-{code}" for code in REQUIRED["Goal"]["lifecycleStatus"]} <= known
    assert {f"kind-{kind}" for kind in PlanKind} | {f"part-{part}" for part in Part} <= known


# --- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "day", "moment"),
    [
        ("en", "2 May 2024", "Wednesday 10 April 2024 at 09:05"),
        ("sv", "2 maj 2024", "onsdag 10 april 2024 klockan 09.05"),
        ("nb", "2. mai 2024", "onsdag 10. april 2024 klokka 09.05"),
        ("nn", "2. mai 2024", "onsdag 10. april 2024 klokka 09.05"),
        ("da", "2. maj 2024", "onsdag 10. april 2024 kl. 09.05"),
    ],
)
def test_days_and_instants_are_said_by_the_local_clock(language, day, moment):
    assert say(language).when(date(2024, 5, 2)) == day
    assert say(language).when(NOW) == moment


def test_less_than_a_day_is_said_as_it_is_known():
    assert say("nn").when("2024-05") == "mai 2024"
    assert say("nn").when("2024") == "2024"


def test_a_meeting_of_one_day_says_the_day_once():
    end = NOW.replace(hour=8)
    assert say("sv").hours(NOW, end) == "onsdag 10 april 2024 klockan 09.05–10.05"


@pytest.mark.parametrize(
    ("repeat", "said"),
    [
        (Repeat(times=1), "en gång om dagen"),
        (Repeat(times=3, unit="wk"), "3 gånger i veckan"),
        (Repeat(times=1, every="2", unit="wk"), "var 2:e vecka"),
        (Repeat(times=2, every="1.5", unit="h"), "2 gånger på 1,5 timmar"),
        (Repeat(times=1, unit="wk", days=("mon", "thu")), "en gång i veckan, måndag, torsdag"),
        (Repeat(times=2, at=("08:00", "20:00")), "08.00, 20.00"),
        (Repeat(times=1, when=("HS",)), "en gång om dagen, vid sänggåendet"),
    ],
)
def test_how_often_is_said_in_words(repeat, said):
    assert say("sv").repeat(repeat) == said


@pytest.mark.parametrize("unit", ["s", "min", "h", "d", "wk", "mo", "a"])
@pytest.mark.parametrize("language", ["sv", "nb", "nn", "da"])
def test_every_unit_of_time_has_words(language, unit):
    for times, number in ((1, "1"), (2, "1"), (1, "3"), (2, "3")):
        english = say("en").repeat(Repeat(times=times, every=number, unit=unit))
        assert say(language).repeat(Repeat(times=times, every=number, unit=unit)) != english


def test_amounts_have_the_decimal_sign_of_the_language():
    amount = Amount(value="58.5", sign="<=", unit="kg")
    assert say("en").said(amount) == "at most 58.5 kg"
    assert say("nb").said(amount) == "høyst 58,5 kg"
    assert say("sv").said(Amount(value="4", until="6.5", unit="mmol/l")) == "4–6,5 mmol/l"
    assert (say("nn").said(True), say("nn").said(False)) == ("ja", "nei")


def test_a_code_without_words_is_shown_and_not_lost():
    assert say("sv").code("medicine", "brand-new") == "brand-new"
    assert say("sv").kind("SpaceSuit") == "Annat"
    assert say("en").kind("Consent") == "Consent"


def test_a_span_is_said_as_far_as_it_is_known():
    day, end = date(2024, 5, 2), date(2024, 6, 2)
    assert say("nn").span(Span(start=day, end=end)) == "frå 2. mai 2024 til 2. juni 2024"
    assert say("nn").span(Span(start=day)) == "frå 2. mai 2024"
    assert say("nn").span(Span(end=end)) == "til 2. juni 2024"
    assert say("nn").span(Span(start=day, end=day)) == "2. mai 2024"
    assert say("nn").span(Span()) == ""


# --- the sheet --------------------------------------------------------------------------------------------


def section(laid, id_):
    return next(it for it in laid.sections if it.id == id_)


def test_what_is_late_is_said_to_be_late():
    laid = sheet(read(bundle()), say("sv"), NOW)
    late = {line.cells[0]: line.cells[-1] for line in section(laid, "actions").lines if line.late}
    assert late == {
        "Såromläggning i hemmet": "försenat, pågår",
        "Ring dottern när hemresan är bestämd": "försenat, inte klart ännu",
    }


def test_whom_to_ring_stands_among_the_first_things():
    laid = sheet(read(bundle()), say("sv"), NOW)
    assert ("Din kontakt", "Björn Östlund, Vindelns vårdcentral, 090-785 01 10") in laid.facts


@every
def test_no_code_of_fhir_is_left_on_the_sheet(language):
    laid = sheet(read(bundle()), say(language), NOW)
    told = " ".join(cell for it in laid.sections for line in it.lines for cell in line.cells)
    for code in (
        "in-progress",
        "rejected",
        "ServiceRequest",
        "entered-in-error",
        "fulfilled",
        "needs-action",
    ):
        assert code not in told


def test_a_plan_with_nothing_in_it_says_so():
    def emptied(of):
        plan = care_plan(of)
        of["entry"] = [e for e in of["entry"] if e["resource"]["resourceType"] in ("CarePlan", "Patient")]
        for element in ("goal", "activity", "addresses", "careTeam", "note", "title"):
            plan.pop(element)

    laid = sheet(changed(emptied), say("nn"), NOW)
    assert laid.title == "Samordna individuell plan (SIP)"
    assert section(laid, "goals").text == "Her står det ikkje noko enno."


@every
def test_whatever_the_plan_tells_stands_on_the_sheet(language):
    plan = read(bundle())
    laid = sheet(plan, say(language), NOW)
    told = "\n".join(
        [cell for it in laid.sections for line in it.lines for cell in line.cells]
        + [text for _, text in laid.facts]
    )
    for lines, names in (
        (plan.goals, ("what",)), (plan.actions, ("what", "reason")), (plan.meetings, ("what", "place")),
        (plan.participants, ("name", "role", "organisation", "telephone")), (plan.problems, ("what",)),
        (plan.cautions, ("what", "reaction")), (plan.medicines, ("what", "dose", "reason")),
        (plan.findings, ("what",)), (plan.documents, ("title",)), (plan.notes, ("text", "by", "about")),
        (plan.also, ("about", "text")),
    ):  # fmt: skip
        for line in lines:
            for name in names:
                assert getattr(line, name) in told, (line, name)


def test_changes_are_told_in_words():
    def later(of):
        tasks = {t["restriction"]["period"]["end"]: t for t in all_of(of, "Task")}
        tasks["2024-04-03"]["status"] = "completed"
        tasks["2024-03-20"]["restriction"]["period"]["end"] = "2024-03-27"
        all_of(of, "CareTeam")[0]["participant"].append({"member": {"display": "Lars Holm"}})
        all_of(of, "Appointment")[0]["participant"][2]["status"] = "declined"

    found = changes_sections(plan_differences(read(bundle(SIP)), changed(later)), say("nn"))
    told = {it.heading: [line.cells for line in it.lines] for it in found}
    assert told["Kven er med"] == [("Lars Holm er komen med", "", "")]
    assert told["Kven gjer kva"] == [
        ("Såromläggning i hemmet er gjort", "i gang", "gjort"),
        ("Träning med fysioterapeut: gjort innan", "20. mars 2024", "27. mars 2024"),
    ]
    (_, before, after), *_ = told["Møte"]
    assert "Ellinor Åström (kjem kanskje)" in before and "Ellinor Åström (kan ikkje kome)" in after


def test_a_change_of_any_field_can_be_told_in_every_language():
    plan = read(bundle())
    for name in plan.__dataclass_fields__:
        empty = type(plan)(kind=PlanKind.OTHER)
        for one, other in ((plan, empty), (empty, plan)):
            altered = replace(one, **{name: getattr(other, name)})
            for language in LANGUAGES:
                for it in changes_sections(plan_differences(one, altered), say(language)):
                    assert all(line.cells[0] for line in it.lines)
                    assert not any("field-" in cell for line in it.lines for cell in line.cells)


def test_every_field_that_can_change_has_a_name():
    known = {m.id for m in catalog("sv", PLAN_LOCALES) if isinstance(m.id, str)}
    plan = read(bundle())
    for name in plan.__dataclass_fields__:
        lines = getattr(plan, name)
        lines = lines if isinstance(lines, tuple) and lines and not isinstance(lines[0], str) else ()
        if not lines and name not in ("person",):
            assert f"field-{name}" in known or name in ("cautions", "participants"), name
        for line in lines[:1]:
            wanting = [f for f in line.__dataclass_fields__ if f"field-{f}" not in known and f != "key"]
            assert not wanting
