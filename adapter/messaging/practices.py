"""What each standard says about sending again, and about what comes a second time.

KITH: the same bytes once more, and no second AppRec, ever (HITS 1168 5.4-5.5, N-08). Our own FHIR messages:
the same bytes, and the first answer again. MedCom: a resend is a new sending, with Bundle.id and timestamp of
its own (D-03); so is the answer to a message that comes again (D-04); the newest receipt counts (D-06).
"""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What the sender of a message that has come before is told."""

    NOTHING = "nothing"
    SAME = "same"  # the first answer, to the byte
    ANEW = "anew"  # the same content in a new sending; also where it travels as a message of its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Practice:
    """How messages of one dialect are sent again and answered again."""

    resends: int = 0  # by itself when no receipt comes; then only people can
    renews: bool = False  # a resend is a new sending, in bytes of its own
    limited: bool = False  # the standard says when a missing receipt counts as a negative one
    duplicates: Answer = Answer.NOTHING
    newest_counts: bool = False  # a newer receipt replaces an older one; else the first is final
    named_giver: bool = False  # a receipt counts only if it names the receiver, also in a response


_PRACTICES = {
    "fhir": Practice(resends=2, duplicates=Answer.SAME),
    **dict.fromkeys(("plo-1.5", "plo-1.6"), Practice(resends=1, limited=True)),
    **dict.fromkeys(
        ("medcom", "medcom-vans"),
        Practice(
            resends=2,  # of 2 (governance) and 3 (use cases) the one that bothers the receiver less (T3)
            renews=True,
            duplicates=Answer.ANEW,
            newest_counts=True,
            named_giver=True,
        ),
    ),
}
_NONE = Practice()


def practice(dialect: str) -> Practice:
    """That of a dialect; of an alarm or a notification, which are in none, nothing is sent again."""
    return _PRACTICES.get(dialect, _NONE)
