"""What people have written to each other about a stay: letters that answer each other stand together.

MedCom's CareCommunication asks for it (governance for CareCommunication, 7 to 11), and a Norwegian dialogue
reads the better for it. A letter says which one it answers by that one's message id; most also say with which
their thread began.
"""

from collections.abc import Iterable, Mapping

from adapter.discharge.case import Entry
from adapter.discharge.notices import Notice


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
