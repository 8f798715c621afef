"""What has been acknowledged arrives, whatever kills the adapter and when.

Under load the process is killed with SIGKILL: at random moments, by a receiver that has read a message and
not yet answered it (between sending and recording), and by itself right after a commit (between storing and
answering). Each time it is started again over the same store. The load tells whole stays, so that in the end
each case can be held against the messages that were acknowledged.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from adapter.discharge.case import Step, fold
from adapter.discharge.notices import Notice
from adapter.fhir.notices import notice_in
from adapter.mappings import own_fhir
from adapter.simulator.load import Load, begin_apart, finish
from adapter.simulator.moulds import Stays
from adapter.store import Store
from adapter.store.cases import fact_of, row_of
from adapter.store.tables import case, fact
from tests.killing import ANSWERING, SENDING, WAYS, Death, End, Killing, unexplained
from tests.rig import SENDER, TOKEN, Rig, rig

FINAL = "('acknowledged', 'cancelled')"

OSLO = ZoneInfo("Europe/Oslo")


def kill_and_count(
    folder: Path, kills: int, seed: int, *, store: str | None = None, apart: bool = False
) -> Killing:
    """Live through so many deaths; nothing is lost, repeated without reason, out of order or wrong."""
    with rig(folder, store=store, settings='lease = "PT10S"') as made:
        made.timeout = 2
        killing = Killing(made, kills, seed, apart=apart)
        killing.run()
        assert not made.count(f"delivery WHERE state NOT IN {FINAL}"), made.log()[-2000:]
        nothing_is_lost(killing)
        repeats_are_those_leased(killing)
        lanes_keep_their_order(killing)
        effects_are_there_once(killing)
        cases_are_right(killing)
        checked = made.cli("check", "--journal")
        assert checked.returncode == 0, checked.stdout
        assert {death.end.how for death in killing.deaths} == set(WAYS)
        assert len(killing.deaths) == kills
        return killing


def nothing_is_lost(killing: Killing) -> None:
    """All that was sent was acknowledged, all that was acknowledged arrived, always as the same bytes."""
    digests: dict[object, set[object]] = {}
    names = as_told(killing.made)
    for arrival in killing.made.arrivals():
        digests.setdefault(names[str(arrival["message_id"])], set()).add(
            (arrival["bundle_id"], arrival["sha256"])
        )
    assert killing.acknowledged == set(sent(killing)), "not everything was acknowledged in the end"
    spared = never_sent(killing.made)
    lost = killing.acknowledged - set(digests) - spared
    assert not lost, f"{len(lost)} acknowledged messages never arrived"
    assert set(digests) == killing.acknowledged - spared
    assert all(len(seen) == 1 for seen in digests.values()), "an id or content changed between attempts"


TOLD = "delivery JOIN message ON message.id = delivery.message_row"


def as_told(made: Rig) -> dict[str, str]:
    """By the ids that receivers know: what goes in place of another has not the one that its sender gave."""
    return {
        str(sent): str(told)
        for sent, told in made.rows(f"SELECT delivery.message_id, message.message_id FROM {TOLD}")
    }


def never_sent(made: Rig) -> set[str]:
    """What was taken back, or made old by a newer one, before anybody had tried to send it."""
    found = made.rows(f"SELECT message.message_id, attempts, fence FROM {TOLD} WHERE state = 'cancelled'")
    assert all((attempts, leases) == (0, 0) for _, attempts, leases in found)
    return {str(name) for name, _, _ in found}


def repeats_are_those_leased(killing: Killing) -> None:
    """After each kill nothing arrives again but what was leased then, or what the attempt log tried again."""
    made = killing.made
    arrivals = [(datetime.fromisoformat(str(a["at"])), str(a["message_id"])) for a in made.arrivals()]
    told = made.rows(
        "SELECT attempt.at, message_id FROM attempt JOIN delivery ON delivery.id = delivery_id "
        "WHERE outcome = 'retry'"
    )
    retries = [(instant(at), str(name)) for at, name in told]
    without = unexplained(killing.deaths, arrivals, retries)
    repeats = len(arrivals) - len({name for _, name in arrivals})
    said = f"\n{len(killing.deaths)} kills, {len(killing.acknowledged)} messages, {repeats} repeats, "
    print(f"{said}{len(retries)} tried again by the log")  # noqa: T201
    for n, death in enumerate(killing.deaths, 1):
        counts = f"{len(death.leased)} leased, {len(death.again)} repeated"
        print(f"  kill {n:2} of {death.end.who} {death.end.how}: {counts}")  # noqa: T201
    assert not without, f"{len(without)} messages arrived again, and no death or retry accounts for it"
    assert all(death.again <= death.leased for death in killing.deaths)
    assert all(death.again for death in killing.deaths if death.end.how == SENDING), (
        "sent, and not sent again"
    )


def lanes_keep_their_order(killing: Killing) -> None:
    """Each stay's messages first arrived in the order in which they were told."""
    numbers = sent(killing)
    order: dict[int, list[int]] = {}
    told = as_told(killing.made)
    for name in dict.fromkeys(told[str(a["message_id"])] for a in killing.made.arrivals()):
        order.setdefault(numbers[name] // Stays.together, []).append(numbers[name])
    wrong = [stay for stay, told in order.items() if told != sorted(told)]
    assert not wrong, f"{len(wrong)} of {len(order)} lanes out of order, the first: {order[wrong[0]]}"


def effects_are_there_once(killing: Killing) -> None:
    """One message, one notice, one delivery, one acceptance for each that was acknowledged."""
    made, count = killing.made, len(killing.acknowledged)
    steps = ", ".join(f"'{step}'" for step in Step)
    assert made.count("message WHERE type NOT IN ('receipt')") == count
    assert made.count(f"fact WHERE kind NOT IN ({steps})") == count
    assert made.count("fact WHERE kind = 'accepted'") == count - len(never_sent(made))
    assert made.count("delivery") == count
    duplicates = made.number("SELECT sum(duplicates) FROM message")
    assert duplicates >= sum(d.end.how == ANSWERING for d in killing.deaths), "stored, and not sent again"


def cases_are_right(killing: Killing) -> None:
    """Each case is what a fresh fold of the patient's acknowledged messages gives, and has those notices."""
    expected = {}
    for notices in told_stays(killing):
        (folded,) = fold(notices, OSLO)
        expected[frozenset(notices)] = row_of(folded)
    assert cases_in(killing.made) == expected


def cases_in(made: Rig) -> Mapping[frozenset[Notice], dict[str, object]]:
    """What the store says of each case, by its notices."""
    store = Store(made.url_of_store)
    with store.read() as connection:
        kept: dict[int, set[Notice]] = {}
        for row in connection.execute(select(fact.c.case_id, fact.c.kind, fact.c.body)):
            known = fact_of(row.kind, row.body)
            if isinstance(known, Notice):
                kept.setdefault(row.case_id, set()).add(known)
        rows = connection.execute(select(case)).mappings().all()
    store.close()
    assert len(rows) == len(kept)
    given = ("hospital", "municipality", "state", "admitted_at", "ready_at", "discharged_at")
    names = (*given, "planned_discharge", "day_only")
    return {frozenset(kept[row["id"]]): {name: row[name] for name in names} for row in rows}


def told_stays(killing: Killing) -> list[list[Notice]]:
    """What the acknowledged messages say, by patient, with the register's names for the parties."""
    by_token = {
        a.token: name for a, name in zip(killing.made.receiver_addresses, killing.made.names, strict=True)
    }
    by_token[SENDER.token] = "laerdal-sjukehus"
    stays: dict[int, list[Notice]] = {}
    for load in killing.loads:
        moulds = load.moulds()
        for n in range(load.first, load.first + load.count):
            if moulds.message_id(n) not in killing.acknowledged:
                continue
            bundle = own_fhir.read(moulds.content(n), content_type=None, zone=OSLO).bundle
            assert bundle is not None
            notice = notice_in(bundle, zone=OSLO)
            as_parties = replace(
                notice,
                sender=by_token[notice.sender],
                receivers=tuple(by_token[r] for r in notice.receivers),
                hospital=by_token[str(notice.hospital)],
            )
            stays.setdefault(n // moulds.together, []).append(as_parties)
    return list(stays.values())


def sent(killing: Killing) -> dict[str, int]:
    """The number of each message of all loads, by its id."""
    return {
        moulds.message_id(n): n
        for load in killing.loads
        for moulds in [load.moulds()]
        for n in range(load.first, load.first + load.count)
    }


def instant(stored: object) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(str(stored)))


def only_postgres(store_url: str) -> str | None:
    """The address of a store that is no file of the rig's."""
    return store_url if store_url.startswith("postgresql") else None


# --- the account itself -----------------------------------------------------------------------------------


def test_a_repeat_needs_a_death_that_had_leased_it_or_a_retry_of_its_own() -> None:
    start = datetime(2026, 11, 2, 12, tzinfo=UTC)
    at = [start + timedelta(seconds=n) for n in range(10)]
    first = Death(end=End(how=SENDING, who="all"), at=at[2], leased=frozenset({"a", "b"}))
    second = Death(end=End(how=SENDING, who="all"), at=at[5], leased=frozenset({"a"}))
    arrivals = [
        (at[0], "a"),
        (at[1], "b"),
        (at[1], "c"),
        (at[3], "b"),
        (at[6], "a"),
        (at[7], "a"),
        (at[4], "c"),
    ]
    assert unexplained([first, second], arrivals, [(at[2], "c")]) == []
    assert (first.again, second.again) == ({"a", "b"}, {"a"})
    once_more = [*arrivals, (at[8], "a"), (at[8], "c")]
    assert unexplained([first, second], once_more, [(at[2], "c")]) == ["a", "c"]
    early = [(at[0], "b"), (at[1], "b")]  # before the death that had leased it
    assert unexplained([first], early, []) == ["b"]
    assert unexplained([first], [(at[0], "c"), (at[3], "c")], [(at[1], "a")]) == ["c"]


# --- killed -----------------------------------------------------------------------------------------------


@pytest.mark.postgres_in_soak
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost_when_the_adapter_is_killed_five_times(
    tmp_path: Path, store_url: str
) -> None:
    kill_and_count(tmp_path, kills=5, seed=5, store=only_postgres(store_url))


@pytest.mark.slow
def test_web_and_worker_as_separate_processes_deliver_over_either_store(
    tmp_path: Path, store_url: str
) -> None:
    with rig(tmp_path, store=only_postgres(store_url)) as made:
        made.start(role="apart")
        load = Load(
            url=made.url,
            token=TOKEN,
            sender=SENDER,
            receivers=made.receiver_addresses,
            at=datetime.now(UTC).replace(microsecond=0),  # noqa: TID251  # the load's own clock
            count=60,
        )
        sent = finish(begin_apart(load))
        until = time.monotonic() + 30
        while made.count("delivery WHERE state = 'acknowledged'") < 60 and time.monotonic() < until:
            time.sleep(0.1)
        assert made.count("delivery WHERE state = 'acknowledged'") == sent.count == 60
        assert {a["message_id"] for a in made.arrivals()} == set(sent.acknowledged)


@pytest.mark.soak
@pytest.mark.timeout(1500)
def test_nothing_acknowledged_is_lost_when_the_adapter_is_killed_fifty_times(
    tmp_path: Path, store_url: str
) -> None:
    kill_and_count(tmp_path, kills=50, seed=50, store=only_postgres(store_url))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_when_web_and_worker_are_killed_in_turn(
    tmp_path: Path, store_url: str
) -> None:
    killing = kill_and_count(tmp_path, kills=16, seed=16, store=only_postgres(store_url), apart=True)
    assert Counter(death.end.who for death in killing.deaths) == {"web": 8, "worker": 8}
