"""What people have written to each other about a stay: letters that answer each other stand together.

MedCom's CareCommunication asks for it (governance for CareCommunication, 7 to 11), and a Norwegian dialogue
reads the better for it. A letter says which one it answers by that one's message id; most also say with which
their thread began.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from adapter.discharge.case import Entry
from adapter.discharge.notices import Notice
from adapter.fhir.bundles import Resource
from adapter.mappings.medcom import sentences
from adapter.mappings.medcom.care_communication import Segment, segments_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """What came only with the answer to it: its own message was lost, or is from before our time (rule 8)."""

    sender: str  # the party
    at: datetime
    text: str
    with_: str  # what the letter says with which it came


def by_thread(entries: Iterable[Entry]) -> list[Entry]:
    """What was written, thread by thread: the one with the newest letter first, in each the newest first.

    Threads are told by the message that began them, or by what each letter answers; a letter that came
    before what it answers moves to its thread when that has come.
    """
    told = sorted(entries, key=lambda e: (e.notice.sent_at, e.notice.message_id), reverse=True)
    by_id = {e.notice.message_id: e.notice for e in told}
    threads: dict[str, list[Entry]] = {}
    for e in told:
        threads.setdefault(_thread(e.notice, by_id), []).append(e)
    return [e for thread in threads.values() for e in thread]


def _thread(notice: Notice, by_id: Mapping[str, Notice]) -> str:
    """The id of the letter with which its thread began, as far as it is known."""
    seen = {notice.message_id}
    while True:
        earlier = notice.conversation or notice.refers_to
        if earlier is None or earlier in seen:
            return notice.message_id
        if earlier not in by_id:
            return earlier
        seen.add(earlier)
        notice = by_id[earlier]


def quoted(talks: Iterable[Resource], letters: Iterable[str]) -> tuple[Quoted, ...]:
    """Segments of CareCommunications that stand in no letter, each once, the newest first.

    The last ones in time of each Communication are those that its own message has brought.
    """
    known = " ".join(_squeezed(text) for text in letters)
    told: dict[str, tuple[Segment, str]] = {}
    brought: set[str] = set()
    for talk in talks:
        found = [one for one in segments_of(talk) if one.id and one.at and one.text]
        own = [one for one in found if one.at == found[-1].at]
        brought |= {one.id for one in own if one.id}
        for one in found:
            told.setdefault(one.id or "", (one, "\n".join(each.text for each in own)))
    return tuple(
        Quoted(sender=one.assigner or "", at=one.at, text=one.text, with_=beside)
        for name, (one, beside) in sorted(told.items(), key=lambda item: str(item[1][0].at), reverse=True)
        if one.at is not None
        and name not in brought
        and _squeezed(one.text) not in known
        and sentences.heard(one.text) is None
    )


def place_of(one: Quoted, letters: Iterable[str]) -> int | None:
    """After how many letters it stands: below the one with which it came; None where that is not shown."""
    wanted = _squeezed(one.with_)
    places = [n for n, text in enumerate(letters, start=1) if wanted and wanted in _squeezed(text)]
    return places[-1] if places else None


def _squeezed(text: str) -> str:
    return "".join(text.split())
