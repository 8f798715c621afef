"""One line of JSON a unit of work on standard error."""

import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING

import structlog

from adapter.inbox import Acceptance

if TYPE_CHECKING:
    pass


log = structlog.get_logger("runtime")


def set_up_logs(stream: object = None, *, quiet: bool = False) -> None:
    """One line of JSON a unit of work on standard error; never an identity number, never a body.

    `quiet` leaves out what goes as it should. What libraries and ended threads say is put into the same form.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning" if quiet else "info"),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),  # type: ignore[arg-type]  # a stream
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Libraries)] + [_Libraries()]
    threading.excepthook = _thread_ended
    warnings.showwarning = _warned


class _Libraries(logging.Handler):
    """What libraries warn of, as one line like ours: their words, and never what they fill in.

    Arguments, errors' texts and further lines may hold an address or a message.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        words = (
            record.msg.strip().split("\n")[0] if isinstance(record.msg, str) else type(record.msg).__name__
        )
        error = record.exc_info[1] if record.exc_info else None
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        structlog.get_logger().log(level, words, logger=record.name, **_without_its_text(error))


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else None
    log.error("a thread has ended", thread=name, **_without_its_text(args.exc_value))


def _warned(
    message: object,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    log.warning("a library warns", warning=category.__name__, at=f"{filename}:{lineno}")


def _without_its_text(error: BaseException | None) -> dict[str, str]:
    """An error as a log may hold it: its kind and place."""
    if error is None:
        return {}
    places = [f"{place.filename}:{place.lineno}" for place in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "at": places[-1] if places else "unknown"}


def log_acceptance(done: Acceptance, **more: object) -> None:
    """The one line a message gets; the reason stays in the store, where its reader has signed in."""
    structlog.get_logger("inbox").info(
        "message",
        row=done.message_row,
        type=done.type,
        dialect=done.dialect,
        sender=done.sender,
        outcome=done.outcome,
        code=done.code,
        case=done.case_id,
        **more,
    )
