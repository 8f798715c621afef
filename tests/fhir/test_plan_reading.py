"""A plan is read for people: everything that it says, nothing that must stay unsaid."""

import json
import os
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from adapter.fhir.bundles import NATIONAL_IDENTIFIERS, of_type, resources
from adapter.fhir.plan import Amount, Part, PlanKind, Repeat
from adapter.fhir.plan_reading import plan_in
from adapter.fhir.validation import validate
from tests.plan_fixtures import INDIVIDUAL, SIP, all_of, bundle, care_plan, changed, protect, read, texts

XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">'
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def action(plan, what):
    return next(it for it in plan.actions if it.what.startswith(what))


# --- what is read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_the_fixtures_are_messages_that_the_adapter_takes(name):
    validate(bundle(name))


def test_a_sip_says_what_it_is_and_whose():
    plan = read(bundle())
    assert (plan.kind, plan.status, plan.title) == (PlanKind.SIP, "active", "SIP för Märta: hem med stöd")
    assert (plan.period.start, plan.period.end) == (date(2024, 3, 12), date(2024, 6, 12))
    assert (plan.person.name, plan.person.birth_date) == ("Märta Lindqvist", date(1945, 8, 15))
    assert plan.authors == ("Björn Östlund", "Norrlands universitetssjukhus", "Vindelns kommun")


def test_the_one_to_ring_is_told_from_the_others():
    people = {who.name: who for who in read(bundle()).participants}
    assert people["Björn Östlund"].part is Part.CONTACT
    assert people["Björn Östlund"].organisation == "Vindelns vårdcentral"
    assert people["Björn Östlund"].telephone == "090-785 01 10"
    assert people["Karin Lindqvist Öberg"].part is Part.KIN
    assert people["Märta Lindqvist"].part is Part.PATIENT
    assert people["Ellinor Åström"].part is Part.MEMBER
    coordinator = next(w for w in read(bundle(INDIVIDUAL)).participants if w.part is Part.COORDINATOR)
    assert coordinator.name == "Ingrid Ås"


@pytest.mark.parametrize(
    ("event", "part"),
    [("fixed-contact-named", Part.CONTACT), ("coordinator-named", Part.COORDINATOR)],
)
def test_a_team_that_names_one_person_by_our_own_notice_names_that_part(event, part):
    def named(of):
        team = all_of(of, "CareTeam")[0]
        system = "https://discharge-adapter.example/fhir/CodeSystem/discharge-events"
        team["category"] = [{"coding": [{"system": system, "code": event}]}]
        team["participant"] = team["participant"][1:2]
        team["participant"][0].pop("role")

    assert changed(named).participants[0].part is part


def test_what_the_person_wants_has_a_measure_and_a_day():
    kitchen, falls = read(bundle()).goals
    assert kitchen.what == "Jag vill kunna laga min egen mat igen"
    assert (kitchen.by, kitchen.achievement) == ("Märta Lindqvist", "in-progress")
    assert kitchen.targets[0].due == date(2024, 5, 1)
    assert falls.targets[0].value == Amount(value="150", unit="meter")


def test_a_task_says_who_has_promised_what_its_request_asks_for():
    plan = read(bundle())
    dressing = action(plan, "Såromläggning")
    assert dressing.who == ("Vindelns kommun",)
    assert (dressing.asked_by, dressing.status) == ("Vindelns vårdcentral", "in-progress")
    assert dressing.span.repeat == Repeat(times=1, every="1", unit="wk", days=("wed",))
    declined = action(plan, "Träning")
    assert (declined.status, declined.reason) == ("rejected", "Ingen ledig tid före den 25 mars")
    assert action(plan, "Stödhandtag").outcomes == ("Utfört: Två handtag är uppsatta",)
    assert action(plan, "Energirik kost").kind == "NutritionOrder"
    assert action(plan, "Ring dottern").who == ("Šárka Nygård",)
    assert len(plan.actions) == 6  # each Task once, and no request beside its Task


def test_meetings_medicines_function_documents_and_notes_are_read():
    plan = read(bundle())
    follow_up = plan.meetings[0]
    assert follow_up.place == "Hemma hos Märta, Åkervägen 7"
    assert ("Ellinor Åström", "tentative") in follow_up.people
    assert [(it.what, it.status) for it in plan.medicines] == [
        ("Metoprolol 50 mg", "active"),
        ("Dalteparin 5000 E", "active"),
        ("Zopiklon 5 mg", "stopped"),
    ]
    answers = {it.what: it.said for it in plan.findings}
    assert answers["Äter själv"] == (True,)
    assert answers["Går i trappor"] == (False,)
    assert answers["Förflyttar sig"] == ("Med rollator",)
    assert answers["Vikt"] == (Amount(value="58.5", unit="kg"),)
    assert plan.cautions[0].reaction == "Utslag och svullnad"
    assert plan.documents[0].title == "Läkemedelsberättelse 2024-03-11"
    assert [note.about for note in plan.notes] == ["", "Hemtjänst: frukost, dusch och städning"]


def test_an_activity_described_in_place_is_read_as_well():
    def described(of):
        care_plan(of)["activity"] = [
            {
                "detail": {
                    "status": "scheduled",
                    "doNotPerform": True,
                    "description": "Lyft inte med höger arm",
                    "scheduledPeriod": {"end": "2024-04-01"},
                    "performer": [{"display": "Hemtjänsten"}],
                }
            }
        ]

    found = action(changed(described), "Lyft inte")
    assert (found.who, found.not_to_be_done, found.due) == (("Hemtjänsten",), True, date(2024, 4, 1))


# --- overdue ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "late"),
    [
        (datetime(2024, 4, 3, 23, 59, tzinfo=STOCKHOLM), False),
        (datetime(2024, 4, 4, 0, 0, tzinfo=STOCKHOLM), True),
    ],
)
def test_a_day_is_over_at_midnight(now, late):
    assert action(read(bundle()), "Såromläggning").overdue(now) is late


def test_what_is_done_declined_or_not_to_be_done_is_never_late():
    far = datetime(2030, 1, 1, tzinfo=STOCKHOLM)
    plan = read(bundle())
    assert not action(plan, "Stödhandtag").overdue(far)
    assert not action(plan, "Träning").overdue(far)
    assert action(plan, "Ring dottern").overdue(far)


def test_what_has_begun_and_has_no_end_is_not_late():
    def open_ended(of):
        for task in all_of(of, "Task"):
            task.pop("restriction")
        for request in all_of(of, "ServiceRequest"):
            request.pop("occurrenceTiming", None)
            request["occurrencePeriod"] = {"start": "2024-03-12"}

    plan = changed(open_ended)
    assert not any(it.overdue(datetime(2030, 1, 1, tzinfo=STOCKHOLM)) for it in plan.actions[:4])


# --- what must stay unsaid --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
@pytest.mark.parametrize("written", ["{n}", "{a}-{b}", "{a} {b}", "{a}+{b}"])
def test_no_identity_number_is_read_however_it_is_written(name, written):
    made = bundle(name)
    number = of_type(made, "Patient")["identifier"][0]["value"]
    spelt = written.format(n=number, a=number[:-4], b=number[-4:])
    care_plan(made)["description"] = f"Planen gäller {spelt}."
    care_plan(made)["note"].append({"text": f"{spelt[2:]} har ringt"})
    plan = read(made)
    for text in texts(plan):
        digits = "".join(c for c in text if c.isdigit())
        assert number not in digits and number[-10:] not in digits, text
    assert "[…]" in plan.description
    assert any(note.text == "[…] har ringt" for note in plan.notes) == (len(number) == 12)


def test_a_number_under_a_system_that_nobody_knows_is_an_identity_number_too():
    def renumbered(of):
        of_type(of, "Patient")["identifier"] = [{"system": "urn:oid:1.2.3", "value": "19450815-238X"}]
        care_plan(of)["title"] = "SIP för 194508 15238X"

    assert changed(renumbered).title == "SIP för […]"


@pytest.mark.parametrize("code", ["R", "V"])
def test_protected_identity_leaves_out_where_and_with_whom_the_person_lives(code):
    made = bundle()
    protect(made, code)
    stay = of_type(made, "Encounter")
    stay["hospitalization"] = {"destination": {"display": "Solgårdens korttidsboende"}}
    care_plan(made)["note"] += [
        {"text": "Bor på Åkervägen 7. Ring 070-174 06 05 eller Karin Lindqvist Öberg, hon är dottern."},
        {"text": "Flyttar till Solgårdens korttidsboende på fredag."},
    ]
    plan = read(made)
    said = "\n".join(texts(plan))
    for secret in ("Åkervägen", "922 31", "070-174 06 05", "070-174 06 33", "Karin", "Solgården"):
        assert secret not in said
    assert plan.person.protected
    assert (plan.person.name, plan.person.address, plan.person.telephone) == ("Märta Lindqvist", "", "")
    assert not any(who.part is Part.KIN for who in plan.participants)
    assert plan.meetings[0].place == ""
    assert "Björn Östlund" in said and "090-785 01 10" in said  # staff can be rung as before


def test_an_older_version_is_as_protected_as_the_newest():
    made = bundle()
    plan = plan_in(made, care_plan(made), protected=True)
    assert "Åkervägen" not in "\n".join(texts(plan))
    assert plan.person.protected


@pytest.mark.parametrize("code", ["N", "L", "U"])
def test_ordinary_confidentiality_protects_no_identity(code):
    made = bundle()
    protect(made, code)
    assert read(made).person.address == "Åkervägen 7, 922 31 Vindeln"


# --- nothing is dropped in silence ------------------------------------------------------------------------


def test_what_has_no_line_of_its_own_is_listed():
    also = read(bundle()).also
    assert ("Patient", "Meänkieli") in [(it.kind, it.text) for it in also]
    assert any("Nyckeln finns hos hemtjänsten" in it.text for it in also)
    assert any("Höger höft" in it.text and it.about == "Såromläggning i hemmet" for it in also)
    assert {"Consent", "DeviceUseStatement", "Encounter"} <= {it.kind for it in also}


def test_what_is_referred_to_but_not_sent_is_said_to_be_missing():
    def cut(of):
        gone = [r["id"] for r in all_of(of, "Goal") + all_of(of, "Condition")]
        of["entry"] = [e for e in of["entry"] if e["resource"].get("id") not in gone]
        care_plan(of)["goal"] = [{"reference": "Goal/1"}, {"reference": "Goal/2", "display": "Gå själv"}]
        care_plan(of)["addresses"] = [{"reference": "Condition/1"}]

    plan = changed(cut)
    assert [goal.what for goal in plan.goals] == ["Gå själv"]
    assert [(it.kind, it.why) for it in plan.also if it.why] == [
        ("Condition", "missing"),
        ("Goal", "missing"),
    ]


def test_what_its_author_has_taken_back_is_not_read_but_told_of():
    def back(of):
        all_of(of, "Goal")[0]["lifecycleStatus"] = "entered-in-error"

    plan = changed(back)
    assert [goal.what for goal in plan.goals] == ["Jag vill gå till brevlådan utan att ramla"]
    assert ("Goal", "entered-in-error") in [(it.kind, it.why) for it in plan.also]


def test_unknown_resources_extensions_and_narrative_are_told():
    def more(of):
        care_plan(of)["extension"] = [{"url": "http://x.example/a", "valueString": "Hund i huset"}]
        care_plan(of)["text"] = {
            "status": "additional",
            "div": f"{XHTML}<p>Tala <b>långsamt</b></p><p>Hör illa</p></div>",
        }
        new = {"resourceType": "RiskAssessment", "status": "final", "note": [{"text": "Fallrisk"}]}
        of["entry"].append({"fullUrl": "urn:uuid:1", "resource": new | {"id": "r1"}})

    also = {it.kind: it.text for it in changed(more).also}
    assert "Hund i huset" in also["CarePlan"] and "Tala långsamt\nHör illa" in also["CarePlan"]
    assert "RiskAssessment" in also


@pytest.mark.parametrize(
    "form", ["bundle", "entries", "resources", "{}/{}", "http://x.example/r4/{}/{}/_history/3"]
)
def test_references_lead_however_the_resources_are_kept(form):
    made = bundle()
    whole = read(made)
    if "{}" in form:  # as a server serves them, without fullUrl
        names = {r["id"]: r["resourceType"] for r in resources(made)}
        text = json.dumps(list(resources(made)))
        for id_, kind in names.items():
            text = text.replace(f"urn:uuid:{id_}", form.format(kind, id_))
        given = json.loads(text)
        plan = next(r for r in given if r["resourceType"] == "CarePlan")
    else:
        given = {"bundle": made, "entries": made["entry"], "resources": list(resources(made))}[form]
        plan = care_plan(made)
    assert plan_in(given, plan) == whole


def test_a_role_that_leads_to_itself_is_read_to_the_end():
    def circular(of):
        for role in all_of(of, "PractitionerRole"):
            role["practitioner"] = {"reference": f"PractitionerRole/{role['id']}"}

    found = changed(circular).participants[0]
    assert (found.part, found.role, found.name) == (Part.CONTACT, "Fast vårdkontakt", "Vindelns vårdcentral")


def test_a_plan_alone_is_read_by_what_it_calls_things():
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"display": "Märta"},
        "goal": [{"reference": "Goal/9", "display": "Gå"}],
        "activity": [{"reference": {"reference": "Task/9", "display": "Träna"}}],
    }
    found = plan_in([], plan)
    assert (found.person.name, found.goals[0].what, found.actions[0].what) == ("Märta", "Gå", "Träna")


# --- plans that others have written -----------------------------------------------------------------------

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")

if SAMPLES:
    ABROAD = Path(SAMPLES) / "international"

    def _plain(element):
        """Enough of FHIR XML for these samples: each element by its name, repeated ones as lists."""
        many = {"coding", "category", "given", "telecom", "address", "line", "identifier", "note", "target"}
        many |= {"contributor", "careTeam", "addresses", "supportingInfo", "goal", "activity", "progress"}
        many |= {"participant", "role", "outcomeReference", "extension", "performer", "component", "item"}
        many |= {"answer", "communication", "contact", "relationship", "content", "reasonCode", "dosage"}
        made = {}
        for child in element.iterchildren(tag=etree.Element):
            name = etree.QName(child).localname
            if name == "div":
                value = etree.tostring(child, encoding="unicode")
            elif len(child) or child.get("url"):
                value = _plain(child) | ({"url": child.get("url")} if child.get("url") else {})
            else:
                value = {"true": True, "false": False}.get(child.get("value"), child.get("value"))
            if name in many or (name == "name" and isinstance(value, dict)):
                made.setdefault(name, []).append(value)
            else:
                made[name] = value
        return made

    def _from_xml(path):
        root = etree.parse(path).getroot()
        return {"resourceType": etree.QName(root).localname} | _plain(root)

    @pytest.mark.parametrize("path", sorted(ABROAD.glob("xshare-care-plan/*.json")), ids=lambda p: p.stem)
    def test_a_plan_of_xshare_is_read_whole(path):
        made = json.loads(path.read_bytes())
        plan = read(made)
        written = care_plan(made)
        kinds = {r["resourceType"] for r in resources(made)}
        assert len(plan.goals) == len(written["goal"])
        assert len(plan.actions) + len(plan.medicines) == len(written["activity"])
        assert all(it.what for it in (*plan.goals, *plan.actions, *plan.medicines, *plan.problems))
        told = {it.kind for it in plan.also} | {it.kind for it in plan.actions}
        assert kinds - told <= {"CarePlan", "CareTeam", "Patient", "Goal", "MedicationRequest", "Condition"}

    @pytest.mark.parametrize("name", ["toc-bundle-documentation", "toc-bundle-transaction"])
    def test_a_transfer_of_care_of_pacio_is_read_whole(name):
        made = json.loads((ABROAD / "pacio-toc" / f"{name}.json").read_bytes())
        plan = read(made)
        assert plan.person.name == "Betsy Smith-Johnson"
        assert [it.what for it in plan.actions] == ["Follow-up visit (procedure)"]
        assert {it.what for it in plan.medicines} == {"atorvastatin 40 MG Oral Tablet"}
        assert "Charles Johnson" in {who.name for who in plan.participants if who.part is Part.KIN}
        assert {"Composition", "Condition", "List"} <= {it.kind for it in plan.also}

    def test_a_plan_for_several_chronic_conditions_is_read_whole():
        found = [_from_xml(path) for path in sorted((ABROAD / "mcc-care-plan").glob("*.xml"))]
        definitions = {"StructureDefinition", "CapabilityStatement", "Parameters"}
        given = [resource for resource in found if resource["resourceType"] not in definitions]
        plan = plan_in(given, next(r for r in given if r.get("id") == "MCCCarePlan"))
        names = [who.name for who in plan.participants]
        assert {"Henry Levin VII, MD", "Nancy Nurse, RN NP", "Peter Primary, MD"} <= set(names)
        assert [it.what for it in plan.goals] == ["Target weight is 150 to 155 lbs."]
        assert len(plan.actions) >= 2
        assert "Patricia Noelle is measuring her weight daily" in {note.text for note in plan.notes}
        assert any("Chronic Pain" in it.text for it in plan.also if it.kind == "CarePlan")
        numbers = {
            i["value"]
            for r in given
            for i in r.get("identifier", ())
            if i.get("system") in NATIONAL_IDENTIFIERS
        }
        assert not any(number in text for number in numbers for text in texts(plan))
