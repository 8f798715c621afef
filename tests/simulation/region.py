"""Indre Sogn with two hospitals and with municipalities of every kind; built once, as it never changes."""

from dataclasses import replace
from functools import cache

from adapter.config import Region
from adapter.messaging.envelope import HER
from adapter.messaging.register import Endpoint, Party, ReceiptWhen, Service, Side
from tests.stage import region

HOSPITAL = "laerdal-sjukehus"  # ours, FHIR
OTHER_HOSPITAL = "foerde-sjukehus"  # theirs, PLO 1.6 in a shared folder
DELIVERED = "sogndal"  # ours, with a system of its own whose receipt counts, FHIR
BOARD = "vik"  # ours, with our board
THEIRS_PLO = "aardal"  # PLO 1.6 in a shared folder
THEIRS_FHIR = "luster"


@cache
def known() -> Region:
    """The region file as the simulation has it."""
    made = region(luster="theirs")
    register = made.register_
    parties = tuple(
        replace(p, endpoint=None, receipt=ReceiptWhen.STORED) if p.id == BOARD else p
        for p in register.parties
    )
    other = Party(
        id=OTHER_HOSPITAL,
        name="Førde sjukehus",
        kind="hospital",
        side=Side.THEIRS,
        identifiers=((HER, "8143700"),),
        services=(Service(role="ward", identifiers=((HER, "8143701"),), name="Medisinsk sengepost"),),
        endpoint=OTHER_HOSPITAL,
    )
    folder = Endpoint(
        name=OTHER_HOSPITAL, transport="directory", address="run/foerde-sjukehus", dialect="plo-1.6"
    )
    register = replace(register, parties=(*parties, other), endpoints=(*register.endpoints, folder))
    return made.model_copy(update={"register_": register})
