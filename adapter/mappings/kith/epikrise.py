"""The discharge summary (Epikrise 1.0 to 1.2), which has an envelope of its own and no MsgHead.

Read only as far as a receipt needs it: the message is refused (T10), and its sender must be told.
"""

import re
from datetime import datetime, tzinfo

from adapter.errors import Refused
from adapter.mappings.kith.apprec import read_station
from adapter.mappings.kith.lists import RECEIPTS
from adapter.mappings.kith.msghead import (
    MEDIA_TYPE,
    Original,
    address,
    apprec_version,
    id_fits,
    normal_id,
    too_long,
)
from adapter.mappings.kith.xml import Node, moment
from adapter.messaging.envelope import Envelope

NAMESPACE = re.compile(r"http://www\.kith\.no/xmlstds/epikrise(/\d{4}-\d\d-\d\d)?")


def read(root: Node, *, zone: tzinfo) -> Envelope:
    """The envelope. Raises Refused T02 where not even a receipt could be written for it."""
    ns = f"{{{root.namespace}}}"
    issued, message_id = root.code(ns + "GenDate"), root.text(ns + "MsgId")
    sent_at = moment(issued, zone)
    if issued is None or message_id is None or not isinstance(sent_at, datetime):
        raise Refused("the epikrise has no MsgId or no GenDate with date and time", code="T02")
    if not id_fits(message_id):
        raise too_long("MsgId")
    report = root.one(ns + "ServRprt") or root
    sender = read_station(report.one(ns + "ServProvider"), ns)
    receivers = [(read_station(node, ns), False) for node in report.all(ns + "Requester")[:1]]
    receivers += [(read_station(node, ns), True) for node in report.all(ns + "CopyDest")]
    version = apprec_version(root.namespace)
    return Envelope(
        dialect=RECEIPTS["version"][version]["dialect"],
        message_id=normal_id(message_id) or message_id,
        type="EPIKRISE",
        sent_at=sent_at,
        sender=address(sender),
        receivers=tuple(address(station, copy=copy) for station, copy in receivers),
        content_type=MEDIA_TYPE,
        opaque=Original(
            apprec=version,
            type=root.code(ns + "Type") or "EPIKRISE",
            type_name=root.display(ns + "Type"),
            issued=issued,
            message_id=message_id,
            sender=sender,
            receivers=tuple(station for station, _ in receivers),
        ),
    )
