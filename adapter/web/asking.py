"""What people type to find deliveries, and what stands in the address of the log.

Words must all be there, each may be the beginning of one; `"…"` is a phrase; `2014-03-03` a day, `2014-03` a
month; `case:17`, `state:refused`, `party:sogndal`, `kind:…`, `endpoint:…`, `dialect:…` name a value, in the
reader's words too. What cannot be understood is told, never guessed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.register import Register
from adapter.store.searching import Term, Wanted, mark, words_of
from adapter.web.words import Words

LONGEST = 200
"""Characters of what can be asked for at once."""

MOST = 12
"""Words of it."""

KINDS = (*(kind.value for kind in NoticeKind), "receipt", "alarm", "subscription")
"""What deliveries carry."""

STATES = tuple(state.value for state in DeliveryState)

_NAMES = ("case", "state", "party", "kind", "endpoint", "dialect")
_PIECE = re.compile(r'([^\W\d_]+):"([^"]*)"|([^\W\d_]+):(\S+)|"([^"]*)"|(\S+)')
_DAY = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?")
_OF_A_PERSON = re.compile(r"(?<![\w-])(?:\d{2})?\d{6}[ +-]?\d{4,5}(?![\w-])")
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What was asked for, what is wrong with it, and what of it may be shown again."""

    wanted: Wanted = field(default_factory=Wanted)
    mistakes: tuple[str, ...] = ()  # sentences in the reader's language
    begins: tuple[str, ...] = ()  # words to mark in what is found
    kept: bool = True  # False: it looks like a person's number, and is not repeated

    def pieces(self, said: str | None) -> list[tuple[str, bool]]:
        """A text in pieces, each with whether it was asked for."""
        said = said or ""
        made: list[tuple[str, bool]] = []
        end = 0
        for found in _WORD.finditer(said):
            if any(word.startswith(self.begins) for word in words_of(found[0])[:1]):
                made += [(said[end : found.start()], False), (found[0], True)]
                end = found.end()
        return [piece for piece in (*made, (said[end:], False)) if piece[0]]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How one reader asks: in their language, of this region, by its clock."""

    words: Words
    register: Register
    zone: tzinfo
    endpoints: Sequence[str] = ()
    dialects: Sequence[str] = ()

    def read(self, typed: str) -> Asked:
        """What the reader has typed."""
        say = self.words
        if _OF_A_PERSON.search(typed):
            number = say.of(
                "That looks like an identity number. Use the field for a patient: it goes into no address."
            )
            return Asked(mistakes=(number,), kept=False)
        if len(typed) > LONGEST:
            return Asked(
                mistakes=(say.of("That is too long: use at most {number} characters.", number=LONGEST),)
            )
        asked = Asked()
        mistakes: list[str] = []
        if typed.count('"') % 2:
            text = 'A quotation mark is missing: write "…" around words that stand together.'
            mistakes.append(say.of(text))
        for piece in _PIECE.finditer(typed.replace('"', " ") if mistakes else typed):
            name, value = self._name(piece[1] or piece[3]), piece[2] if piece[1] else piece[4]
            if name is not None:
                asked = self._named(asked, name, value, mistakes)
            elif piece[5] is not None:
                asked = self._phrase(asked, piece[5])
            else:
                asked = self._word(asked, piece[0].replace('"', " "), mistakes)
        if len(asked.wanted.terms) > MOST:
            mistakes.append(say.of("These are too many words: use at most {number}.", number=MOST))
        if typed.strip() and asked == Asked() and not mistakes:
            mistakes.append(say.of("There is no word in it to look for."))
        return replace(asked, mistakes=tuple(mistakes))

    def _name(self, typed: str | None) -> str | None:
        """The name before a colon, in English or the reader's own word."""
        if typed is None:
            return None
        said = typed.casefold()
        return next((n for n in _NAMES if said in (n, self.words.code("ask", n).casefold())), None)

    def _word(self, asked: Asked, said: str, mistakes: list[str]) -> Asked:
        day = _DAY.fullmatch(said)
        if day is not None:
            return self._day(asked, day, mistakes)
        state = self._state(said)
        if state is not None:
            return _with(asked, states=_both(asked.wanted.states, state))
        for word in words_of(said):
            asked = self._one(asked, word)
        return asked

    def _one(self, asked: Asked, word: str) -> Asked:
        """A word, and what else it may be: of a party's name, of what is carried, a number."""
        terms = [Term(word, begins=len(word) > 1)]
        terms += [Term(mark("party", party)) for party in self._parties(word)]
        terms += [Term(mark("kind", kind)) for kind in KINDS if _begun(self.words.code("notice", kind), word)]
        if _NUMBER.fullmatch(word):
            terms += [Term(mark(what, int(word))) for what in ("case", "number")]
        wanted = replace(asked.wanted, terms=(*asked.wanted.terms, tuple(terms)))
        return replace(asked, wanted=wanted, begins=(*asked.begins, word))

    def _phrase(self, asked: Asked, said: str) -> Asked:
        words = words_of(said)
        if not words:
            return asked
        phrases = (*asked.wanted.phrases, " ".join(words))
        return replace(asked, wanted=replace(asked.wanted, phrases=phrases), begins=(*asked.begins, *words))

    def _parties(self, word: str) -> list[str]:
        return [party.id for party in self.register.parties if _begun(party.name, word)]

    def _state(self, said: str) -> str | None:
        """A state, by its word or the reader's."""
        small = said.casefold()
        return next((s for s in STATES if small in (s, self.words.code("delivery", s).casefold())), None)

    def _day(self, asked: Asked, found: re.Match[str], mistakes: list[str]) -> Asked:
        try:
            first = date(int(found[1]), int(found[2]), int(found[3] or 1))
            after = first + timedelta(days=1) if found[3] else (first + timedelta(days=31)).replace(day=1)
        except (ValueError, OverflowError):
            mistakes.append(self.words.of("There is no day {day}: write it as 2014-03-03.", day=found[0]))
            return asked
        return _with(asked, **between(asked.wanted, self.start(first), self.start(after)))

    def start(self, day: date) -> datetime:
        """The first moment of a day there."""
        return datetime.combine(day, time.min, tzinfo=self.zone)

    def _named(self, asked: Asked, name: str, value: str, mistakes: list[str]) -> Asked:
        say = self.words
        if name == "state":
            state = self._state(value)
            if state is not None:
                return _with(asked, states=_both(asked.wanted.states, state))
            known = self.words.list(self.words.code("delivery", s) for s in STATES)
            mistakes.append(say.of("There is no such state. A state is one of: {states}.", states=known))
        elif name == "case":
            if not _NUMBER.fullmatch(value):
                mistakes.append(say.of("A case has a number: write case:17."))
                return asked
            return _with(asked, case_ids=_only(asked.wanted.case_ids, [int(value)]))
        elif name == "kind":
            kinds = [k for k in KINDS if value.casefold() == k or _begun(self.words.code("notice", k), value)]
            return self._any(asked, name, kinds, say.of("Nothing of that kind is sent."), mistakes)
        elif name == "party":
            known_ids = {party.id for party in self.register.parties}
            ids = [value] if value in known_ids else self._parties(value.casefold())
            return self._any(asked, name, ids, say.of("There is no such party in the register."), mistakes)
        else:
            known_names = self.endpoints if name == "endpoint" else self.dialects
            names = [one for one in known_names if one.casefold().startswith(value.casefold())]
            return self._any(asked, name, names, say.of("There is nothing of that name."), mistakes)
        return asked

    def _any(
        self, asked: Asked, name: str, values: Iterable[str], otherwise: str, mistakes: list[str]
    ) -> Asked:
        terms = tuple(Term(mark(name, value)) for value in values)
        if not terms:
            mistakes.append(otherwise)
            return asked
        return _with(asked, terms=(*asked.wanted.terms, terms))


def _with(asked: Asked, **changes: Any) -> Asked:
    return replace(asked, wanted=replace(asked.wanted, **changes))


def _both(known: tuple[str, ...], state: str) -> tuple[str, ...]:
    """A delivery has one state: of two that are named none has both."""
    return (state,) if known in ((), (state,)) else ("none",)


def _only(known: tuple[int, ...] | None, more: Sequence[int]) -> tuple[int, ...]:
    return tuple(more) if known is None else tuple(sorted({*known} & {*more}))


def between(wanted: Wanted, since: datetime | None, until: datetime | None) -> Mapping[str, datetime | None]:
    """The days that both name."""
    sinces = [at for at in (wanted.since, since) if at is not None]
    untils = [at for at in (wanted.until, until) if at is not None]
    return {"since": max(sinces, default=None), "until": min(untils, default=None)}


def _begun(said: str, word: str) -> bool:
    """Whether one of its words begins like that."""
    begins = words_of(word)
    return bool(begins) and all(any(one.startswith(b) for one in words_of(said)) for b in begins)
