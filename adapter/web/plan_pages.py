"""Pages of a plan for the patient and those who care: to be read, compared and printed, in five languages.

Where the plans come from is given (`PlanLoader`). Whoever looks signs in as for every other page. Those who
care see the plans that lie on their parties' shelves; operators see every plan, as they do every message, and
auditors none. A plan of somebody with protected identity is shown only to named staff who care for patients.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapter import tongues
from adapter.errors import NotFound, StoreError
from adapter.fhir.bundles import Resource
from adapter.fhir.differences import plan_differences
from adapter.fhir.plan import Plan
from adapter.fhir.plan_reading import plan_in
from adapter.messaging.people import CARE, Person, Role
from adapter.messaging.register import Register
from adapter.phrases import Phrase, phrase
from adapter.sight import Sight, openable
from adapter.store import Store, emergencies
from adapter.web import looking
from adapter.web.entrance import Entrance
from adapter.web.pages import HEADERS, SECURE, STYLE
from adapter.web.plan_layout import changes_sections, sheet
from adapter.web.plan_words import PlanWords
from adapter.web.sign_in import SIGN_IN, way
from adapter.web.words import LANGUAGES, language_of

log = structlog.get_logger("plans")

_HERE = Path(__file__).parent
_OWN_STYLE = (_HERE / "static" / "plan.css").read_bytes()
_OWN_VERSION = hashlib.sha256(_OWN_STYLE).hexdigest()[:12]
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_LONGEST_ID = 64  # of a FHIR id

PATHS = ("/plans/{id}.pdf", "/plans/{id}", "/plans/{id}/changes")
"""Every page of a plan; docs/pages.md describes each."""

_NO_PLAN = "There is no plan with this number. The case shows its plans."
_NO_VERSION = "There is no such version of this plan. The plan's page lists those that there are."
_NAMED_ONLY = "The person's identity is protected, and the plan is shown to named care staff only."

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanVersion:
    """One version of a plan: its number, when it came, and who sent it."""

    number: int
    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedPlan:
    """A plan as it was in one version, with the resources that it leads to; `versions` the oldest first."""

    resources: Sequence[Resource]
    plan: Resource
    versions: tuple[PlanVersion, ...] = ()
    case_id: int | None = None
    patient: str | None = None  # pseudonym


class PlanLoader(Protocol):
    """Finds a plan by what stands in the address; the newest version, or the one that is asked for."""

    def __call__(self, plan_id: str, version: int | None, sight: Sight) -> LoadedPlan | None:
        """None where there is no such plan or no such version, or not for this person."""
        ...


def plan_page(
    plan: Plan,
    *,
    language: str,
    now: datetime,
    zone: tzinfo,
    versions: Sequence[PlanVersion] = (),
    older: int | None = None,
) -> dict[str, Any]:
    """What the template `plan.html` shows; `older` is the number of this version, if there is a newer one."""
    words = PlanWords(language=language, zone=zone)
    return {
        "sheet": sheet(plan, words, now, older=older),
        "words": words,
        "versions": tuple(reversed(versions)),
        "title": plan.title or words.code("kind", plan.kind.value),
    }


@dataclass(frozen=True, kw_only=True)
class PlanPages:
    """The pages of plans; `country` is the region's rule file, by which the language is chosen last."""

    load: PlanLoader
    entrance: Entrance
    store: Store
    register: Register
    clock: Callable[[], datetime]
    zone: tzinfo
    country: str | None = None

    def routes(self) -> list[BaseRoute]:
        """To stand before the routes of `Pages`, which answers to every other address."""
        views = (self._print, self._plan, self._changes)
        return [
            Route("/static/plan.css", self._style),
            *(Route(path, self._page(view)) for path, view in zip(PATHS, views, strict=True)),
        ]

    # --- answering ---

    def _page(self, view: "Callable[[_Asked], Response]") -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            person = (await self.entrance.person(request)).person
            asked = self._asked(request)
            make = (
                partial(self._unknown, request)
                if person is None
                else partial(self._seen, request, view, asked, person)
            )
            response = await run_in_threadpool(self._guarded, asked, make)
            if self.entrance.is_secure(request):
                response.headers.update(SECURE)
            return response

        return answer

    async def _style(self, _: Request) -> Response:
        return Response(_OWN_STYLE, media_type="text/css", headers=HEADERS | _KEPT)

    def _asked(self, request: Request) -> "_Asked":
        query = dict(request.query_params)
        chosen = query.get("lang") or request.cookies.get("language")
        language = language_of(chosen, request.headers.get("accept-language"), self.country)
        words = PlanWords(language=language, zone=self.zone)
        return _Asked(id=request.path_params["id"], query=query, words=words, now=self.clock())

    @staticmethod
    def _unknown(request: Request) -> Response:
        """To where people sign in, and from there back."""
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{SIGN_IN}?to={quote(way(here), safe='/')}", status_code=303)

    def _seen(
        self, request: Request, view: "Callable[[_Asked], Response]", asked: "_Asked", person: Person
    ) -> Response:
        """The page, when the look at the patient is written down."""
        if not person.holds(*CARE, Role.OPERATIONS):
            raise NotFound(phrase(_NO_PLAN))
        with self.store.read() as tx:
            rows = emergencies.open_of(tx, person.id, asked.now)
            opened = openable(tx, person, {row["patient"]: row["why"] for row in rows})
        sight = Sight(person=person, register=self.register, emergencies=opened)
        asked = replace(asked, sight=sight)
        response = view(asked)
        if response.status_code == 200 and asked.seen:
            page = request.scope["route"].path
            self.store.write(lambda tx: looking.write(tx, "view", page, asked.seen, sight, asked.now))
        return response

    def _guarded(self, asked: "_Asked", make: Callable[[], Response]) -> Response:
        """The answer; whatever fails is told without anybody's data."""
        say = asked.words.of
        try:
            response = make()
        except NotFound as error:
            response = self._problem(asked, 404, "Not found", _said(asked, error.said))
        except StoreError:
            response = self._problem(asked, 503, "The store does not answer", say("Try again soon."))
        except Exception as error:  # noqa: BLE001  # its text may hold a patient's data, and must not reach a log
            log.error("a plan's page failed", error=type(error).__name__)
            text = "It is a fault of the adapter. Please report what you asked for."
            response = self._problem(asked, 500, "This page failed", say(text))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Content-Language"] = asked.words.language
        return response

    # --- making ---

    def _plan(self, asked: "_Asked") -> Response:
        """`/plans/{id}`: the plan as it stands, or with `?version=` as it was."""
        number = asked.number("version")
        loaded, plan = self._found(asked, number)
        if _must_not_see(asked, plan):
            return self._named_only(asked)
        page = plan_page(
            plan,
            language=asked.words.language,
            now=asked.now,
            zone=self.zone,
            versions=loaded.versions,
            older=_older(loaded, number),
        )
        return _rendered("plan.html", asked, **page, case=loaded.case_id)

    def _print(self, asked: "_Asked") -> Response:
        """`/plans/{id}.pdf`: the same to print."""
        from adapter.web.pdf import plan_pdf

        number = asked.number("version")
        loaded, plan = self._found(asked, number)
        if _must_not_see(asked, plan):
            return self._named_only(asked)
        now = asked.now.astimezone(self.zone)
        made = plan_pdf(plan, language=asked.words.language, now=now, older=_older(loaded, number))
        named = {"Content-Disposition": 'inline; filename="plan.pdf"'}
        return Response(made, media_type="application/pdf", headers=named)

    def _changes(self, asked: "_Asked") -> Response:
        """`/plans/{id}/changes`: from one version to another, without a query to the last."""
        loaded, newest = self._found(asked, None)
        if _must_not_see(asked, newest):
            return self._named_only(asked)
        numbers = [version.number for version in loaded.versions]
        after = asked.number("to") or max(numbers, default=1)
        earlier = [number for number in numbers if number < after]
        before = asked.number("from") or max(earlier, default=after)
        plans = [self._found(asked, number)[1] for number in (before, after)]
        text = "What changed from version {before} to version {after}"
        return _rendered(
            "plan_changes.html",
            asked,
            title=asked.words.of(text, before=before, after=after),
            words=asked.words,
            sections=changes_sections(plan_differences(*plans), asked.words),
            pair=(before, after),
        )

    def _found(self, asked: "_Asked", version: int | None) -> tuple[LoadedPlan, Plan]:
        """The version; an earlier one is as protected as the newest, whatever it said then."""
        newest = self.load(asked.id, None, asked.who) if len(asked.id) <= _LONGEST_ID else None
        if newest is None:
            raise NotFound(phrase(_NO_PLAN))
        if newest.patient is not None:
            asked.seen.add(newest.patient)
        plan = plan_in(newest.resources, newest.plan)
        if plan.person.protected and asked.who.faceless:
            raise NotFound(phrase(_NO_PLAN))  # an account of several people is not told of the stay either
        if version is None:
            return newest, plan
        loaded = self.load(asked.id, version, asked.who)
        if loaded is None:
            raise NotFound(phrase(_NO_VERSION))
        return loaded, plan_in(loaded.resources, loaded.plan, protected=plan.person.protected)

    def _named_only(self, asked: "_Asked") -> Response:
        return self._problem(asked, 403, "Only for named staff", asked.words.of(_NAMED_ONLY))

    def _problem(self, asked: "_Asked", status: int, title: str, text: str) -> Response:
        response = _rendered(
            "plan_problem.html", asked, title=asked.words.of(title), text=text, words=asked.words
        )
        response.status_code = status
        return response


def _said(asked: "_Asked", said: Phrase) -> str:
    """A sentence of these pages, or one that stands in another catalog."""
    mine = asked.words.of(str(said))
    return tongues.said_in(asked.words.language, said) if mine == said else mine


def _must_not_see(asked: "_Asked", plan: Plan) -> bool:
    return plan.person.protected and not asked.who.may_name(True)


def _older(loaded: LoadedPlan, number: int | None) -> int | None:
    """The number of a version that is not the newest."""
    return number if number and any(version.number > number for version in loaded.versions) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One request for a plan."""

    id: str
    query: Mapping[str, str]
    words: PlanWords
    now: datetime
    sight: Sight | None = None
    seen: set[str] = field(default_factory=set)  # pseudonyms of those whose plan is shown

    @property
    def who(self) -> Sight:
        """Who looks; known as soon as somebody has signed in."""
        assert self.sight is not None
        return self.sight

    def number(self, name: str) -> int | None:
        """A version out of the query; NotFound where it cannot be one."""
        text = self.query.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            raise NotFound(phrase(_NO_VERSION))
        return int(text)

    def languages(self) -> list[tuple[str, str, str]]:
        """Each language: its code, its own name, and the query that asks for it."""
        rest = "".join(f"&{name}={self.query[name]}" for name in _KEPT_QUERIES if self._plain(name))
        return [(code, name, f"?lang={code}{rest}") for code, name in LANGUAGES.items()]

    def _plain(self, name: str) -> bool:
        return self.query.get(name, "").isdigit()


_KEPT_QUERIES = ("version", "from", "to")


def _rendered(template: str, asked: _Asked, **values: Any) -> Response:
    text = _templates.get_template(template).render(
        **values,
        id=asked.id,
        version=asked.query.get("version") if asked.query.get("version", "").isdigit() else None,
        language=asked.words.language,
        languages=asked.languages(),
        styles=(STYLE, f"/static/plan.css?v={_OWN_VERSION}"),
    )
    return HTMLResponse(text)
