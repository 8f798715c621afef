"""Every page and every form as everybody: what is not somebody's is not there, and nobody sees anything.

The tables are those of the site, so that a page that is new is asked for as well.
"""

import re
from dataclasses import replace
from datetime import datetime

import pytest
from lxml import html

from adapter.cases import pseudonym
from adapter.config import Region
from adapter.discharge.notices import NoticeKind
from adapter.messaging.people import Role
from adapter.messaging.register import Party, Side
from adapter.store import tables
from adapter.web.pages import ACTIONS, PAGES
from tests.conftest import OSLO, StandingClock
from tests.people import (
    AUDITOR,
    BOTH,
    CHIEF,
    COUNTER,
    DOCTOR,
    LUSTER,
    NIGHTS,
    OPERATOR,
    OTHER_WARD,
    SHARED,
    SOGNDAL,
    WARD,
)
from tests.stage import SYNNOVE, TORBJORN, region
from tests.web.conftest import Site, site

EVERYBODY = (
    WARD, OTHER_WARD, LUSTER, SOGNDAL, DOCTOR, OPERATOR, AUDITOR, SHARED, NIGHTS, COUNTER, BOTH, CHIEF,
)  # fmt: skip
STRANGERS = (OTHER_WARD, LUSTER, DOCTOR, NIGHTS, COUNTER, BOTH)
"""Those whose parties take no part in Synnøve's stay."""

SECRETS = ("Fjellheim", "Synnøve", "21843012660")


def wider() -> Region:
    """Indre Sogn with another hospital and a GP's office."""
    known = region()
    more = tuple(
        Party(id=id, name=name, kind=kind, side=Side.OURS, identifiers=(("urn:x", id),))
        for id, name, kind in (
            ("foerde-sentralsjukehus", "Førde sentralsjukehus", "hospital"),
            ("luster-legekontor", "Luster legekontor", "gp"),
        )
    )
    register = replace(known.register_, parties=(*known.register_.parties, *more))
    return known.model_copy(update={"register_": register})


def tell(found: Site, kind: NoticeKind, receiver: str, encounter: str, **more: object) -> None:
    stage = found.stage
    content = stage.message(kind, receivers=(receiver,), encounter=encounter, **more)
    done = stage.receive(content, channel="http")
    assert done.outcome == "accepted", done.reason


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Synnøve is ready at Lærdal sjukehus, and Sogndal is asked; Luster has Torbjørn."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path_factory.mktemp("authorization"), clock, of=wider(), people=EVERYBODY) as found:
        tell(found, NoticeKind.ADMITTED, "sogndal", "LS-1")
        tell(found, NoticeKind.CARE_NEEDS, "sogndal", "LS-1", text="Treng rullator")
        tell(found, NoticeKind.READY_FOR_DISCHARGE, "sogndal", "LS-1", ready=clock())
        tell(found, NoticeKind.ADMITTED, "luster", "LS-2", subject=TORBJORN)
        yield found


@pytest.fixture(scope="module")
def seen(place):
    """The place as each person sees it."""
    return {person.id: place.seen_by(person) for person in EVERYBODY}


def filled(pattern: str) -> str:
    return re.sub(r"{\w+}", "1", pattern)


def the_secrets(place: Site) -> tuple[str, ...]:
    return (*SECRETS, pseudonym(place.stage.built.inbox.pseudonym_key, SYNNOVE))


PAIRS = [(page, person) for page in PAGES for person in EVERYBODY]
FORMS = [(action, person) for action in ACTIONS for person in EVERYBODY]


@pytest.mark.parametrize(
    ("page", "person"), PAIRS, ids=[f"{page.path} {person.id}" for page, person in PAIRS]
)
def test_a_page_is_for_its_roles_and_for_nobody_else(place, seen, page, person):
    answer = seen[person.id].get(filled(page.path), allow_redirects=False)
    if page.path == "/" and not person.holds(Role.OPERATIONS):
        assert answer.status_code == 303
    elif person.holds(*page.roles):
        assert answer.status_code in (200, 303, 307, 404)
    else:
        assert answer.status_code == 403
        assert not any(secret in answer.text for secret in the_secrets(place))


@pytest.mark.parametrize("page", PAGES, ids=[page.path for page in PAGES])
def test_nobody_sees_a_page(place, page):
    answer = place.seen_by_nobody().get(filled(page.path), allow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")
    assert answer.text == ""


@pytest.mark.parametrize("action", ACTIONS, ids=[action.path for action in ACTIONS])
def test_nobody_does_anything(place, action):
    answer = place.seen_by_nobody().post(filled(action.path), data={"token": "x"}, allow_redirects=False)
    assert answer.status_code == 401
    assert not any(secret in answer.text for secret in the_secrets(place))


@pytest.mark.parametrize(
    ("action", "person"), FORMS, ids=[f"{action.path} {person.id}" for action, person in FORMS]
)
def test_a_form_is_for_its_roles_and_needs_the_sessions_token(seen, action, person):
    answer = seen[person.id].post(filled(action.path), data={"token": "0" * 64}, allow_redirects=False)
    assert answer.status_code == 403
    token = seen[person.id].token(_with_a_form(person))
    answer = seen[person.id].post(filled(action.path), data={"token": token}, allow_redirects=False)
    if person.holds(*action.roles):
        assert answer.status_code in (303, 400, 404)
    else:
        assert answer.status_code == 403


def _with_a_form(person) -> str:
    """A page that this person sees; the form by which they sign out is on each."""
    return "/cases" if person.holds(Role.OPERATIONS, Role.AUDITOR) else "/emergency"


ABOUT_ONE = [page for page in PAGES if page.path.startswith(("/stays/{", "/cases/{", "/plans/{"))]


@pytest.mark.parametrize("person", STRANGERS, ids=lambda person: person.id)
def test_another_partys_patient_is_not_found_and_its_page_says_nothing(place, seen, person):
    found = seen[person.id]
    for page in ABOUT_ONE:
        answer = found.get(filled(page.path))
        assert answer.status_code in (403, 404), page.path
        assert not any(secret in answer.text for secret in the_secrets(place)), page.path
        nowhere = found.get(filled(page.path).replace("/1", "/999999", 1))
        assert nowhere.status_code == answer.status_code
        assert _bare(nowhere.text) == _bare(answer.text.replace("/1", "/999999")), page.path


@pytest.mark.parametrize("person", STRANGERS, ids=lambda person: person.id)
def test_no_list_search_or_count_tells_of_another_partys_patient(place, seen, person):
    for page in PAGES:
        if "{" not in page.path and person.holds(*page.roles):
            answer = seen[person.id].get(page.path)
            assert not any(secret in answer.text for secret in the_secrets(place)), page.path


@pytest.mark.parametrize("person", STRANGERS, ids=lambda person: person.id)
def test_a_form_about_another_partys_patient_does_nothing(place, seen, person):
    token = seen[person.id].token("/emergency")
    before = _facts(place)
    for action in ACTIONS:
        if action.path.startswith("/stays/{id}") and person.holds(*action.roles):
            answer = seen[person.id].post(filled(action.path), data={"token": token, "say": "seen"})
            assert answer.status_code in (400, 404), action.path
            assert not any(secret in answer.text for secret in the_secrets(place)), action.path
    assert _facts(place) == before


def _facts(place: Site) -> int:
    from adapter.store import tables

    return len(place.stage.rows(tables.fact))


def _bare(text: str) -> str:
    """The page without what differs from one making to the next."""
    text = re.sub(r'name="token" value="\w+"', "", text)
    text = re.sub(r'data-since="[^"]*"', "", text)
    tree = html.fromstring(text)
    for hidden in tree.xpath("//form//input[@type='hidden']"):  # tokens, keys of one sending, the way back
        hidden.getparent().remove(hidden)
    return html.tostring(tree, encoding="unicode")


def test_a_strangers_pages_are_the_same_whether_the_patient_is_there_or_not(tmp_path):
    """Counts, sums and empty places as well: nothing on any list changes when another's patient comes."""
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, of=wider(), people=EVERYBODY) as found:
        tell(found, NoticeKind.ADMITTED, "luster", "LS-2", subject=TORBJORN)
        strangers = {person: found.seen_by(person) for person in STRANGERS}

        def pages() -> dict[tuple[str, str], str]:
            return {
                (person.id, page.path): _bare(place.get(page.path).text)
                for person, place in strangers.items()
                for page in PAGES
                if "{" not in page.path and person.holds(*page.roles)
            }

        before = pages()
        tell(found, NoticeKind.ADMITTED, "sogndal", "LS-1")
        tell(found, NoticeKind.READY_FOR_DISCHARGE, "sogndal", "LS-1", ready=clock())
        assert before
        assert pages() == before


# --- in whose name ----------------------------------------------------------------------------------------


def test_of_two_municipalities_that_share_a_case_neither_tells_anything_in_the_others_name(tmp_path):
    clock = StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))
    with site(tmp_path, clock, of=wider(), people=(LUSTER, SOGNDAL)) as found:
        for kind, more in ((NoticeKind.ADMITTED, {}), (NoticeKind.READY_FOR_DISCHARGE, {"ready": clock()})):
            content = found.stage.message(kind, receivers=("sogndal", "luster"), encounter="LS-1", **more)
            assert found.stage.receive(content, channel="http").outcome == "accepted"
        theirs = found.seen_by(LUSTER)
        before = found.stage.counts()
        forms = [form for form in _forms(theirs) if "/record" not in form.get("action")]
        assert {_sent(theirs, form, party="sogndal") for form in forms} == {404}
        assert {"answer", "ask", "seen"} <= {form.get("action").rpartition("/")[2] for form in forms}
        (record,) = _forms(theirs, "record")  # nor what was said by telephone
        told = {"answer": "not-known", "what": "answer/sogndal/laerdal-sjukehus"}
        assert _sent(theirs, record, **told) == 404
        assert _told(found.stage.counts()) == _told(before)
        assert [_sent(theirs, form, day="2014-03-04") for form in _forms(theirs, "answer")[:1]] == [303]
        (answer,) = found.stage.rows(tables.message, type="answer")
        assert answer["sender"] == "luster"
        clock.forward(minutes=1)  # whoever spoke last is who the patient comes to
        ours = found.seen_by(SOGNDAL)
        (waiting, *_) = _forms(ours, "answer")
        assert _sent(ours, waiting, day="2014-03-05") == 303  # it has still to answer
        (close,) = _forms(ours, "close")  # nor does one close the stay of the other
        assert _forms(theirs, "close") == []
        close.xpath(".//input[@name='token']")[0].set("value", theirs.token("/stays/1/act"))
        close.xpath(".//input[@name='party']")[0].set("value", "luster")
        assert _sent(theirs, close, why="Ho kjem ikkje til oss.") == 404
        assert found.stage.rows(tables.case)[0]["state"] == "ready"


def _forms(found: Site, name: str = "") -> list:
    """The forms by which something is told in a party's name."""
    forms = html.fromstring(found.get("/stays/1/act").content).xpath("//form[.//input[@name='party']]")
    return [form for form in forms if not name or form.get("action") == f"/stays/1/{name}"]


def _sent(found: Site, form, **more: str) -> int:
    """The status that answers a form, filled in as somebody would."""
    said = {"text": "Vi har plass.", "day": "2014-03-05", "receive_from": "2014-03-05"}
    inputs = form.xpath(".//input[@name] | .//textarea | .//select")
    given = {i.get("name"): i.get("value") or said.get(i.get("name"), "") for i in inputs}
    for choice in form.xpath(".//select"):
        given[choice.get("name")] = choice.xpath("./option/@value")[0]
    return found.post(form.get("action"), data=given | more, allow_redirects=False).status_code


def _told(counts: dict[str, int]) -> dict[str, int]:
    """What there is of messages and facts; looks are recorded anyhow."""
    return {name: counts[name] for name in ("message", "fact", "delivery", "history")}
