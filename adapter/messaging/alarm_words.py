"""What a person does about each kind of alarm, and how an alarm says what it is about: for pages and mails.

An alarm keeps its subject as plain English, by which it is found again.
"""

import re

from adapter.phrases import Code, Phrase, phrase

TO_DO = {
    "quarantined": phrase("Look at it in the quarantine, correct our own data, then release it."),
    "refused": phrase("The receiver will not have it. Read its reason, correct, and reissue it."),
    "given-up": phrase("Tell the receiver by telephone, set right what is wrong, then resend it."),
    "receipt-missing": phrase("Telephone the receiver; then resend it or give it up."),
    "receipt-urgent": phrase("Telephone the receiver now, while there is time; record its answer."),
    "delivery-urgent": phrase(
        "Telephone the receiver now, while there is time; then record here what was said."
    ),
    "not-received": phrase("It counts as not received. Telephone the receiver, then reissue it."),
    "unknown-service": phrase("Add the service to the region file, or tell the sender the right address."),
    "unknown-original-of-correction": phrase(
        "Ask the sender which notice is meant; none is undone meanwhile."
    ),
    "contradicting-receipt": phrase("Ask the receiver which of the two holds; the first stands here."),
    "receipt-not-passed-back": phrase(
        "Tell the sender by telephone what the receiver has said, and record it here."
    ),
    "deadline-near": phrase("Do what is due, or tell who must."),
    "deadline-missed": phrase("Do what was due, or say why not, and record it here."),
    "deadline-unknown": phrase(
        "It is tried again in an hour; if it stays, look at the case and its notices."
    ),
    "plan-conflict": phrase(
        "Compare the two versions, agree by telephone, then keep one: plan-conflicts keep."
    ),
    "endpoint-resting": phrase(
        "Ask whoever runs it; where something is urgent, telephone. It is tried by itself."
    ),
    "mailbox": phrase("Look at the mailbox's address and credentials; nothing is lost, it is read again."),
    "reconciliation": phrase(
        "Do what it proposes; it ends with the next comparison that no longer finds it."
    ),
    "restored": phrase("Ask those who are named to send again; then record here that they have."),
    "subscription": phrase(
        "Tell the subscriber; it asks to be told again, and for the events that it missed."
    ),
    "identity-number": phrase(
        "Telephone the sender: whom is it about? A new message replaces one that was wrong."
    ),
    "disk": phrase("Make room on that disk, or give the adapter a larger one, before it is full."),
    "backlog": phrase("See what the endpoint answers; telephone the receiver, or resume what is paused."),
    "roster": phrase("Bring the roster up to date, or correct it; hospitals keep what they tell until then."),
    "clock": phrase("Look at the time synchronisation; then at the deadlines of that time, and record it."),
    "test": phrase("Nothing: somebody tried whether alarms arrive."),
    "not-synthetic": phrase(
        "Feed only synthetic patients for evaluation; delete this store when you are done."
    ),
}
"""By kind of alarm: what a person does about it."""

_SHAPES = {
    "clock": "clock of {machine}",
    "clocks": "clocks of {machine} and the database",
    "disk": "disk of {folder} on {machine}",
    "message": "message server {server}",
    "plans": "plans at {server}",
    "restore": "restore of {time}",
    "roster": "roster of {party} on {machine}",
    "service": "service {service} of {party}",
    "test": "test alarm",
}
"""By its first word, a subject that is more than the name of something."""


def about(subject: str) -> Phrase:
    """What an alarm is about, as it was named when it began: `delivery 17`, `clock of adapter-1`."""
    peer, parted, what = subject.partition(": ")
    if parted:
        found = Code("difference", re.sub(r"\W+", "-", what.lower()), what)
        return phrase("{peer}: {difference}", peer=about(peer), difference=found)
    noun, _, name = subject.partition(" ")
    if noun in _SHAPES and (named := _places(_SHAPES[noun], subject)) is not None:
        return phrase(_SHAPES[noun], **named)
    plan, parted, server = subject.rpartition(" at ")
    if parted:
        return phrase("{plan} at {server}", plan=about(plan), server=server)
    return _named(noun, name)


def _named(noun: str, name: str) -> Phrase:
    found = Code("subject", noun, noun)
    return phrase("{noun} {name}", noun=found, name=name) if name else phrase("{noun}", noun=found)


def _places(shape: str, subject: str) -> dict[str, str] | None:
    """What stands in the places of a sentence; None where it is another one."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(shape))
    found = re.fullmatch(pattern, subject)
    return found.groupdict() if found is not None else None
