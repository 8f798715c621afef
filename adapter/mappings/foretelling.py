"""What a message tells as past, and has not happened yet when it is sent: beside every dialect."""

from datetime import timedelta, tzinfo

from adapter.discharge.notices import Notice, instant, local_date
from adapter.errors import Quarantined
from adapter.fhir.validation import MAY_LIE_AHEAD
from adapter.phrases import dated, phrase

_SLACK = timedelta(days=1)  # a clock, a zone or a date without time of day may be that much off


def foretold(notice: Notice, zone: tzinfo) -> Quarantined | None:
    """Why a notice must wait: it tells as happened what lies more than a day after its own sending.

    That is wrong, but no reason to refuse (N-06); taken as it stands it would give a stay in another century.
    """
    happened = [notice.admitted] if notice.kind in MAY_LIE_AHEAD else [notice.admitted, notice.occurred]
    latest = notice.sent_at + _SLACK
    ahead = [at for at in happened if at and instant(at, sent_at=notice.sent_at, zone=zone) > latest]
    if not ahead:
        return None
    return Quarantined(
        phrase(
            "it tells of {day} as past, but was sent on {sent}; telephone the sender,"
            " and have it sent anew with the right time and a new id, or release it as it is",
            day=dated(local_date(ahead[-1], zone), "%Y-%m-%d"),
            sent=dated(local_date(notice.sent_at, zone), "%Y-%m-%d"),
        ),
        code="future",
    )
