"""Acting on many deliveries: what was looked at is done, each once, also after a crash; all on record."""

import re

import pytest
from lxml import html
from sqlalchemy import select

from adapter.bulks import AT_ONCE, Bulks
from adapter.discharge.notices import NoticeKind
from adapter.scheduler.many import Many
from adapter.store import bulks, cases, deliveries
from adapter.store.tables import bulk_item, delivery
from tests.conftest import StandingClock
from tests.stage import failing

from .conftest import site

pytestmark = pytest.mark.postgres_in_soak

WHO = "Operator"
WHY = "the firewall was changed"


def page(found):
    return html.fromstring(found.text)


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def bare(found) -> str:
    """The words of a page without spaces, so that numbers are as they are."""
    return re.sub(r"[\s.,]", "", words(page(found)))


@pytest.fixture
def many(store_url, tmp_path):
    """A thousand deliveries: most were given up, some are acknowledged, some are cancelled."""
    with site(tmp_path, StandingClock(), store=store_url) as found:
        stage = found.stage
        stage.post.answer = failing(503, error="HTTP 503")
        stage.receive(stage.message(NoticeKind.ADMITTED))
        first = {k: v for k, v in found.look(deliveries.get, 1).items() if k != "id"}
        states = ["given-up"] * 960 + ["acknowledged"] * 30 + ["cancelled"] * 9
        rows = [
            first | {"state": state, "lane": f"{n}:sogndal", "next_attempt_at": None, "error": "cancelled"}
            for n, state in enumerate(states)
        ]
        stage.write(lambda tx: tx.execute(delivery.insert(), rows))
        yield found


def token(found) -> str:
    return page(found.get("/endpoints/sogndal")).xpath("//input[@name='token']/@value")[0]


def prepare(found, **fields: str):
    sent = {"why": WHY, "what": "resend", "party": "sogndal"} | fields
    sent["token"] = token(found)
    return found.post("/deliveries/bulk", data=sent)


def press(found, number: int, what: str, **fields: str):
    return found.post(f"/bulk/{number}/{what}", data={"token": token(found)} | fields)


def job(found) -> Many:
    return Many(bulks=Bulks(inbox=found.stage.built.inbox), clock=found.stage.clock, nudge=lambda: None)


def run(found) -> None:
    while job(found)():
        pass


def test_a_thousand_are_previewed_confirmed_done_and_told_one_by_one(many):
    assert "finds1000deliveries" in bare(many.get("/deliveries/bulk?party=sogndal"))
    answer = prepare(many)
    assert answer.url.endswith("/bulk/1")
    assert len(page(answer).xpath("//tbody/tr")) == 20
    assert "1000deliveriesaremeant" in bare(answer) and "960" in bare(answer)
    run(many)
    assert many.look(bulks.counts, 1) == {"left": 1000}  # nothing before it is confirmed
    assert press(many, 1, "confirm").status_code == 200
    run(many)
    assert many.look(bulks.counts, 1) == {"done": 991, "cannot": 9}
    row = many.look(bulks.get, 1)
    assert (row["state"], row["by"], row["why"], row["filter"]) == ("done", WHO, WHY, "party=sogndal")
    cannot = page(many.get("/bulk/1?outcome=cannot&still=1")).xpath("//tbody/tr")
    assert len(cannot) == 9 and "cancelled for good" in words(cannot[0])
    with many.stage.built.store.read() as tx:
        assert len(cases.notes_about(tx, "delivery 2")) == 1
        assert [n["by"] for n in cases.notes_about(tx, "bulk action 1")] == [WHO]


def test_exactly_those_that_were_shown_are_meant(many):
    prepare(many, state="given-up")
    more = {k: v for k, v in many.look(deliveries.get, 2).items() if k != "id"} | {"lane": "new"}
    new = many.stage.write(lambda tx: deliveries.add(tx, more))
    many.stage.write(lambda tx: deliveries.change(tx, 2, state="acknowledged"))
    press(many, 1, "confirm")
    run(many)
    assert many.look(bulks.counts, 1) == {"done": 959, "changed": 1}
    assert many.look(deliveries.get, new)["trigger"] == "schedule"
    assert many.look(deliveries.get, 2)["state"] == "acknowledged"


def test_after_a_crash_it_goes_on_and_does_nothing_twice(many):
    prepare(many, state="given-up", what="reissue")
    press(many, 1, "confirm")
    outbox = many.stage.built.inbox.outbox
    store, going = many.stage.built.store, Bulks(inbox=many.stage.built.inbox)

    def dies(tx):
        going.go_on(tx, 1, many.stage.clock())
        raise MemoryError

    assert store.write(lambda tx: going.go_on(tx, 1, many.stage.clock())) == AT_ONCE
    with pytest.raises(MemoryError):
        store.write(dies)
    assert many.look(bulks.counts, 1) == {"done": AT_ONCE, "left": 960 - AT_ONCE}
    for _ in range(3):
        store.write(lambda tx: going.go_on(tx, 1, many.stage.clock()))
    with store.read() as tx:
        made = tx.execute(select(delivery.c.original).where(delivery.c.original.is_not(None))).scalars().all()
        told = tx.execute(select(bulk_item.c.told).where(bulk_item.c.outcome == "done")).scalars().all()
    assert len(made) == len(set(made)) == 4 * AT_ONCE == len(set(told))
    assert outbox is not None


def test_it_is_stopped_on_the_way_and_what_was_done_stays(many):
    prepare(many, what="resend", state="given-up")
    press(many, 1, "confirm")
    store = many.stage.built.store
    store.write(lambda tx: Bulks(inbox=many.stage.built.inbox).go_on(tx, 1, many.stage.clock()))
    press(many, 1, "cancel")
    run(many)
    assert many.look(bulks.counts, 1) == {"done": AT_ONCE, "left": 960 - AT_ONCE}
    assert many.look(bulks.get, 1)["ended_by"] == WHO
    for what in ("confirm", "cancel"):
        assert press(many, 1, what).status_code == 400


def test_a_giving_up_of_many_is_undone_for_those_with_which_it_was_done(many):
    prepare(many, what="take-up", state="given-up")
    press(many, 1, "confirm")
    run(many)
    answer = press(many, 1, "undo", why="it was the wrong filter")
    assert answer.url.endswith("/bulk/2")
    press(many, 2, "confirm")
    run(many)
    assert many.look(bulks.counts, 2) == {"done": 960}
    assert many.look(deliveries.get, 3)["state"] == "given-up"
    assert len(page(many.get("/bulk")).xpath("//tbody/tr")) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"why": ""}, "Say why"),
        ({"what": "delete"}, "Choose what is to be done"),
        ({"what": "resend", "to": "luster"}, "Only what is written anew"),
        ({"what": "reissue", "to": "nobody"}, "Only what is written anew"),
        ({"party": "nobody"}, "The party is not one of those"),
        ({"text": "nothinglikethat"}, "No delivery is like that"),
        ({"text": '"open'}, "A quotation mark is missing"),
    ],
)
def test_what_cannot_be_prepared_is_told_and_nothing_is_kept(many, fields, said):
    answer = prepare(many, **fields)
    assert answer.status_code == 400 and said in answer.text
    assert many.look(bulks.get, 1) is None


def test_too_many_are_not_begun(many, monkeypatch):
    monkeypatch.setattr("adapter.web.many.MOST", 100)
    answer = prepare(many)
    assert answer.status_code == 400 and "narrow the filter" in answer.text


@pytest.mark.parametrize("path", ["/bulk/1/confirm", "/bulk/1/cancel", "/bulk/1/undo"])
def test_there_is_nothing_to_press_where_nothing_is(many, path):
    sent = {"token": token(many), "why": WHY}
    assert many.post(path, data=sent).status_code in (400, 404)
    assert many.get("/bulk/1").status_code == 404
