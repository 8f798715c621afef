"""One message or case at a time: take it, write it in another dialect, explain what follows from it."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from uuid import UUID

import typer

from adapter.cli.frame import Chosen, Json, app, opened, print_json, put, say, table
from adapter.config import load
from adapter.errors import ConfigurationError, MessageError
from adapter.messaging.acknowledgement import RECEIPTS

if TYPE_CHECKING:
    from adapter.config import Settings
    from adapter.inbox import Acceptance
    from adapter.mappings import Addressing
    from adapter.messaging.envelope import Address, Envelope
    from adapter.runtime import Stations

PANEL = "One message or case"


@app.command(rich_help_panel=PANEL)
def receive(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Messages; - is standard input.")],
    as_json: Json = False,
) -> None:
    """Take messages as if a partner had sent them, and print the acknowledgements instead of sending them."""
    for name in files:  # before anything is taken, so that a slip of the fingers leaves nothing half done
        if name != "-":
            _open(name).close()
    with opened(create=True) as built:
        built.rosters.look()  # an API is not asked in the middle of a unit of work
        results = [(name, _receive(built, name)) for name in files]
    if as_json:
        print_json([_received(name, done) for name, done in results])
    for name, done in results:
        if not as_json:
            case = f", case {done.case_id}" if done.case_id is not None else ""
            why = f": {done.reason}" if done.reason else ""
            say(f"{name}: {done.outcome}{case}{why}")
            if done.acknowledgement is not None:
                put(done.acknowledgement.decode(errors="replace").rstrip("\n"))
            else:
                say(f"{name}: {_unanswered(done)}")
        if done.warning:
            say(f"{name}: warning: {done.warning}")
    if any(done.outcome in ("refused", "quarantined") for _, done in results):
        raise typer.Exit(1)


def _receive(built: "Stations", name: str) -> "Acceptance":
    """One file through the inbox; what is over the limit is not read on."""
    import hashlib

    from adapter.incoming import HEAD_KEPT, Incoming

    most = built.settings.max_message_bytes
    with sys.stdin.buffer if name == "-" else _open(name) as source:
        content = source.read(most + 1)
        oversize, digest = None, None
        if len(content) > most:
            hashed, oversize = hashlib.sha256(content), len(content)
            for chunk in iter(lambda: source.read(1 << 20), b""):
                hashed.update(chunk)
                oversize += len(chunk)
            content, digest = content[:HEAD_KEPT], hashed.hexdigest()
    return built.inbox.accept(Incoming(content=content, oversize=oversize, sha256=digest), built.clock())


def _unanswered(done: "Acceptance") -> str:
    """Why a message gets no acknowledgement now."""
    if done.type in RECEIPTS:
        return "no acknowledgement: a receipt is not receipted"
    return {
        "accepted": "no acknowledgement yet: it follows when the receiver's own system has taken the message",
        "duplicate": "no acknowledgement: it was given when the message first came, and is given once",
        "quarantined": "no acknowledgement yet: it follows when the message is released",
        "not-relevant": "no acknowledgement: it travels as a message, or the dialect has none",
    }.get(done.outcome, "no acknowledgement: it cannot be said to whom, or about which message")


def _open(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise ConfigurationError(f"{name}: cannot be read: {error.strerror}") from error


def _received(name: str, done: "Acceptance") -> dict[str, Any]:
    import orjson

    answer: Any = None
    if done.acknowledgement is not None:
        is_json = "json" in (done.acknowledgement_type or "")
        answer = orjson.loads(done.acknowledgement) if is_json else done.acknowledgement.decode()
    return {
        "file": name,
        "outcome": done.outcome,
        "reason": done.reason,
        "code": done.code,
        "case": done.case_id,
        "message": done.message_row,
        "warning": done.warning,
        "acknowledgement": answer,
    }


@app.command(rich_help_panel=PANEL)
def convert(
    file: Annotated[
        str, typer.Argument(help="A message in any dialect that the adapter reads; - is standard input.")
    ],
    to: Annotated[str, typer.Option(help="fhir, plo-1.5, plo-1.6, medcom or medcom-vans")],
    as_json: Json = False,
) -> None:
    """Print a message in another dialect; what has no place there is listed on standard error."""
    from adapter.discharge.agreement import agreement
    from adapter.mappings import Head
    from adapter.mappings.known import DIALECTS, named, recognise
    from adapter.runtime import checks_by, schema_folder

    known = [name for dialect in DIALECTS for name in dialect.NAMES]
    if to not in known:
        raise ConfigurationError(f"--to {to}: write one of {', '.join(known)}")
    with sys.stdin.buffer if file == "-" else _open(file) as source:
        content = source.read()
    dialect = recognise(Head(content=content))
    if dialect is None:
        say(f"{file}: neither a KITH message nor a FHIR Bundle; check what it is, and its encoding")
        raise typer.Exit(1)
    settings = load(Chosen.config)
    checks = checks_by(settings, schema_folder(settings))
    zone = agreement(settings.agreement or "norway").zone
    try:
        reading = checks.incoming(dialect.read(content, content_type=None, zone=zone), content)
        if isinstance(reading.problem, MessageError):
            raise reading.problem
    except MessageError as problem:
        say(f"{file}: {problem.code}: {problem.reason}")
        raise typer.Exit(1) from problem
    if reading.bundle is None:
        raise ConfigurationError(f"{file}: a receipt; only notices are converted")
    written = named(to).write(
        reading.bundle, dialect=to, addressing=_converted(reading.envelope, to, settings)
    )
    checks.outgoing(written.content)
    losses, warnings = [*reading.losses, *written.losses], list(reading.faults)
    if as_json:
        message = written.content.decode()
        print_json({"file": file, "to": to, "message": message, "losses": losses, "warnings": warnings})
        return
    put(written.content.decode())
    for loss in losses:
        say(f"lost: {loss}")
    for warning in warnings:
        say(f"warning: {warning}")


def _converted(envelope: "Envelope", to: str, settings: "Settings") -> "Addressing":
    """The addressing of the same message in another dialect: its own numbers, as far as that one takes them.

    Where a region is configured, the sender and the first receiver are written with all identifiers that the
    region file has of them, for each standard addresses by its own.
    """
    from adapter.config import load_region
    from adapter.copies import as_registered, derived_id
    from adapter.mappings import Addressing

    register = load_region(settings.region).register_ if settings.region is not None else None

    def known(address: "Address") -> "Address":
        party = register.resolve(address, envelope.sent_at.date()) if register is not None else None
        return address if party is None else as_registered(address, party, said_in=envelope.dialect, reads=to)

    own = envelope.message_id
    return Addressing(
        message_id=own if to == envelope.dialect or _is_guid(own) else derived_id(own, "converted"),
        transmission_id=envelope.transmission_id or own,
        sender=known(envelope.sender),
        receiver=known(envelope.receivers[0]),
        refers_to=envelope.refers_to,
        conversation=envelope.conversation,
        production=bool(envelope.production),
    )


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


@app.command(rich_help_panel=PANEL)
def explain(
    scenario: Annotated[
        Path | None, typer.Argument(metavar="SCENARIO.json", help="A described case (docs/deadlines.md).")
    ] = None,
    *,
    case: Annotated[int | None, typer.Option("--case", min=0, help="Or a real one, by its id.")] = None,
    language: Annotated[str, typer.Option("--language", help="en, or the country's own: nb, sv, da")] = "en",
    as_json: Json = False,
) -> None:
    """Deadlines and payment of a described or a real case, each with the sentence why."""
    if (scenario is None) == (case is None):
        raise ConfigurationError("explain: name a SCENARIO.json, or a case with --case ID")
    told = _described(scenario) if scenario is not None else _real(case or 0)
    spoken = told["languages"]
    if language not in spoken:
        raise ConfigurationError(f"--language {language}: this case is told in {' and '.join(spoken)}")
    if as_json:
        print_json(told)
    else:
        _tell(told, language)


def _described(scenario: Path) -> dict[str, Any]:
    import orjson

    from adapter.discharge.scenario import explain as explained

    try:
        return explained(orjson.loads(scenario.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"{scenario}: cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"{scenario}: not valid JSON: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{scenario}: {error}") from error


def _real(case_id: int) -> dict[str, Any]:
    from adapter.cli.frame import opened

    with opened() as built, built.store.read() as connection:
        return built.cases.explained(connection, case_id, built.clock())


def _tell(told: dict[str, Any], language: str) -> None:
    """For people: the tables, then each deadline and each reason in words."""
    for key, words in (("follows", "follows case"), ("followed_by", "followed by case")):
        link = told.get(key)
        if link is not None:
            put(f"{words} {link['case']}: {link['verdict']}")
            for sentence in link["why"]:
                put(f"- {sentence[language]}")
    listed = told["deadlines"]
    table("Deadlines", ("kind", "party", "actor", "due_at", "state", "basis"), listed)
    several = len({deadline["party"] for deadline in listed if deadline["party"]}) > 1
    for deadline in listed:
        whose = f", {deadline['party']}" if several and deadline["party"] else ""
        for sentence in deadline["why"]:
            put(f"- {deadline['kind']}{whose}: {sentence[language]}")
    payment = told["payment"]
    if payment["days"]:
        table("Charged days", ("date", "amount", "currency"), payment["days"])
    put(_liability(payment, language))
    for sentence in payment["why"]:
        put(f"- {sentence[language]}")
    for later in told.get("later", ()):
        put(f"\nCase {later['case']}")
        _tell(later, language)


def _liability(payment: dict[str, Any], language: str) -> str:
    """Since when and how much, or that no day is charged."""
    from adapter.discharge.sentences import Say
    from adapter.discharge.wording import said

    if not payment["days"]:
        return said(Say.NO_DAY_CHARGED.of(), language)
    since, currency = date.fromisoformat(payment["liable_from"]), payment["days"][0]["currency"]
    if payment["total"] is None:
        return said(Say.LIABLE_UNPRICED.of(day=since), language)
    return said(Say.LIABLE.of(day=since, total=payment["total"], currency=currency), language)
