"""How soon a delivery is found among half a million, on either store; and what writing its words down costs.

The store is asked directly, each search a few dozen times with other words; what it has read before, it has
in its memory, as it would after a morning's work.
"""

import random
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from sqlalchemy import insert, text

from adapter.store import Store, searching
from adapter.store.migrations import migrate
from adapter.store.searching import Term, Wanted, mark
from adapter.store.tables import attempt, delivery
from tests.conftest import packaged_postgres

DELIVERIES = 500_000
_TIMES = 40
_CHUNK = 5_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_PARTIES = tuple(f"kommune-{n}" for n in range(40))
_KINDS = ("admitted", "care-needs", "ready-for-discharge", "answer", "discharged", "note", "receipt")
_ERRORS = (
    "Connection refused",
    "HTTP 503 Service Unavailable",
    "certificate has expired",
    "timed out after 30 s",
)


def search(count: int = DELIVERIES) -> dict[str, object]:
    """Both stores."""
    figures: dict[str, object] = {"search: deliveries": count}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures |= _of("SQLite", f"sqlite:///{folder}/store.db", count)
        with packaged_postgres(Path(folder) / "data") as server:
            figures |= _of("PostgreSQL", server, count)
    return figures


def _of(engine: str, url: str, count: int) -> dict[str, object]:
    store = Store(url)
    migrate(store)
    dice = random.Random(1)
    ids = _filled(store, count, dice)
    figures: dict[str, object] = {
        f"search, {engine}: words written down (µs a delivery)": _indexed(store, count)
    }
    if engine == "PostgreSQL":
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    for name, asked in _questions(ids, dice).items():
        figures[f"search, {engine}: {name} (ms, p50 / p95)"] = _measured(store, asked)
    figures[f"search, {engine}: counted up to 1,001 of a party (ms, p50 / p95)"] = _measured(
        store, lambda: Wanted(party=dice.choice(_PARTIES)), limit=1001
    )
    store.close()
    return figures


def _filled(store: Store, count: int, dice: random.Random) -> list[str]:
    ids: list[str] = []
    for start in range(0, count, _CHUNK):
        rows = [_row(n, dice) for n in range(start, min(start + _CHUNK, count))]
        ids += [str(row["message_id"]) for row in rows]
        tries = [
            {
                "delivery_id": n,
                "at": row["created_at"],
                "trigger": "schedule",
                "status": 503 if row["error"] else 200,
                "outcome": "gave-up" if row["error"] else "sent",
                "ms": 12.5,
                "error": row["error"],
            }
            for n, row in enumerate(rows, start + 1)
        ]
        store.write(lambda tx, rows=rows: tx.execute(insert(delivery), rows))
        store.write(lambda tx, tries=tries: tx.execute(insert(attempt), tries))
    return ids


def _row(number: int, dice: random.Random) -> dict[str, object]:
    failed = dice.random() < 0.05
    at = _START + timedelta(seconds=30 * number)
    party = dice.choice(_PARTIES)
    return {
        "case_id": number // 8 + 1,
        "lane": f"{number // 8 + 1}:{party}",
        "kind": dice.choice(_KINDS),
        "party": party,
        "endpoint": party,
        "dialect": dice.choice(("fhir", "plo-1.6")),
        "message_id": str(uuid.UUID(int=dice.getrandbits(128), version=4)),
        "expects_receipt": 1,
        "payload": b"\x00" * 32,
        "content_type": "application/fhir+json",
        "state": ("given-up" if number % 3 else "refused") if failed else "acknowledged",
        "attempts": 1,
        "created_at": at,
        "sent_at": at,
        "delivered_at": at,
        "accepted_at": None if failed else at,
        "error": f"{dice.choice(_ERRORS)} ({dice.randrange(10_000)})" if failed else None,
    }


def _indexed(store: Store, count: int) -> float:
    began = perf_counter()
    while store.write(searching.index):
        pass
    return round((perf_counter() - began) / count * 1e6, 1)


def _words(*said: str) -> Wanted:
    return Wanted(terms=tuple((Term(w, begins=True),) for one in said for w in searching.words_of(one)))


def _questions(ids: list[str], dice: random.Random) -> dict[str, Callable[[], Wanted]]:
    def day() -> tuple[datetime, datetime]:
        since = _START + timedelta(days=dice.randrange(len(ids) * 30 // 86_400 + 1))
        return since, since + timedelta(days=1)

    return {
        "a whole message id": lambda: _words(dice.choice(ids)),
        "the beginning of one": lambda: _words(dice.choice(ids)[:6]),
        "two letters": lambda: _words(dice.choice(ids)[:2]),
        "a word that most have": lambda: _words("kommune"),
        "two words that many have": lambda: _words("refused", "admitted"),
        "an error of one party": lambda: Wanted(
            terms=_words("certificate").terms, party=dice.choice(_PARTIES)
        ),
        "a text that occurs nowhere": lambda: _words(uuid.UUID(int=dice.getrandbits(128)).hex),
        "two words that never meet": lambda: _words("kommune", "expired", "refused"),
        "a word in one state": lambda: Wanted(terms=_words("timed").terms, states=("refused",)),
        "a party's refused ones": lambda: Wanted(party=dice.choice(_PARTIES), states=("refused",)),
        "a state that none is in": lambda: Wanted(states=("waiting",)),
        "a party in a state that none is in": lambda: Wanted(party="kommune-7", states=("leased",)),
        "a party's that are sent, of which there are none": lambda: Wanted(
            party="kommune-7", states=("sent",)
        ),
        "sent, of which there are none": lambda: Wanted(states=("sent",)),
        "those awaited, of which there are none": lambda: Wanted(awaiting=True),
        "a case": lambda: Wanted(case_ids=(dice.randrange(len(ids) // 8) + 1,)),
        "a case's number as a word": lambda: Wanted(
            terms=((Term(mark("case", dice.randrange(len(ids) // 8) + 1)),),)
        ),
        "a day": lambda: Wanted(**dict(zip(("since", "until"), day(), strict=True))),
        "a word of one day": lambda: Wanted(
            terms=_words("certificate").terms, **dict(zip(("since", "until"), day(), strict=True))
        ),
    }


def _measured(store: Store, asked: Callable[[], Wanted], *, limit: int = 51) -> str:
    taken = sorted(_once(store, asked(), limit) for _ in range(_TIMES))
    return f"{taken[_TIMES // 2]:.1f} / {taken[int(_TIMES * 0.95)]:.1f}"


def _once(store: Store, wanted: Wanted, limit: int) -> float:
    with store.read() as tx:
        began = perf_counter()
        searching.ids(tx, wanted, limit=limit)
        return (perf_counter() - began) * 1000
