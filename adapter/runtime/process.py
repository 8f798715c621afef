"""The running adapter: all of it, or only its web or its worker side; start and stop."""

import gc
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from adapter.config.soundness import unreadable_files
from adapter.errors import ConfigurationError, StoreError
from adapter.inbox import Acceptance
from adapter.messaging.delivery import Leased, Reply
from adapter.subscribers import Subscribers

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from adapter.scheduler.clockwork import Clockwork
    from adapter.scheduler.delivering import Deliverer
    from adapter.scheduler.duties import Duties
    from adapter.scheduler.watching import Clocks
    from adapter.web.live import Live
    from adapter.web.metrics import Door, Metrics

from adapter.runtime.chance import process_name
from adapter.runtime.checks import check_exposure, check_tls, compile_schemas, refuse
from adapter.runtime.jobs import Jobs, plans_of, restoring
from adapter.runtime.logs import log_acceptance
from adapter.runtime.people import entrance_of
from adapter.runtime.stations import Stations

log = structlog.get_logger("runtime")


class Adapter:
    """The running adapter: `all` of it, or only its `web` or its `worker` side."""

    metrics: "Metrics | None" = None
    deliverer: "Deliverer | None" = None
    clockwork: "Clockwork | None" = None
    clocks: "Clocks | None" = None
    live: "Live | None" = None
    duties: "Duties"  # this, and the jobs, of a process that delivers
    jobs: "Mapping[str, tuple[timedelta, Callable[[], object]]]"

    def __init__(self, built: Stations, *, role: str = "all") -> None:
        self.built = built
        self.role = role
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._warming: threading.Thread | None = None
        self._door: Door | None = None
        # Each role imports only what it needs: two roles apart are two processes' memory.
        if role != "worker" or built.settings.worker_port is not None:
            from adapter.web.metrics import Metrics

            self.metrics = Metrics(built.store, built.clock)
        if role != "web":
            from adapter.scheduler.clockwork import Clockwork
            from adapter.scheduler.delivering import Deliverer
            from adapter.scheduler.duties import Duties
            from adapter.scheduler.watching import Clocks

            self.deliverer = Deliverer(
                store=built.store,
                inbox=built.inbox,
                outbox=built.outbox,
                clock=built.clock,
                observe=self._attempted,
                watch=built.store.watch() if role == "worker" or not built.store.embedded else None,
            )
            self.duties = Duties(store=built.store, holder=process_name(), clock=built.clock)
            self.clocks = Clocks(
                store=built.store,
                outbox=built.outbox,
                clock=built.clock,
                steady=monotonic,
                machine=socket.gethostname(),
                most=built.settings.alarms.clock_difference,
                after_jump=lambda: self.clockwork.begin_anew(built.clock()) if self.clockwork else None,
            )
            jobs = Jobs(
                built=built,
                deliverer=self.deliverer,
                duties=self.duties,
                clocks=self.clocks,
                accepted=self._accepted,
            )
            self.jobs = jobs.all()
            self.clockwork = Clockwork(self.jobs)

    def app(self) -> "Starlette":
        """The web application."""
        from adapter.web import health, pages
        from adapter.web.app import application
        from adapter.web.fhir.endpoint import FhirEndpoint
        from adapter.web.live import Live
        from adapter.web.partners import ProcessMessage
        from adapter.web.plan_pages import PlanPages
        from adapter.web.plan_store import stored_plans
        from adapter.web.signing_in import Doorkeeper
        from adapter.web.smart.endpoint import TokenEndpoint
        from adapter.web.smart.keys import Keys
        from adapter.web.smart.tokens import Tokens
        from adapter.web.subscribing import Subscribing

        built, settings = self.built, self.built.settings
        assert self.metrics is not None
        tokens = Tokens(store=built.store, clock=built.clock)
        doorkeeper = Doorkeeper(register=built.register, tokens=tokens)
        entrance = entrance_of(built)
        smart = TokenEndpoint(
            register=built.register,
            tokens=tokens,
            keys=Keys(clock=built.clock),
            clock=built.clock,
            public_url=settings.public_url,
        )
        door = ProcessMessage(
            inbox=built.inbox,
            doorkeeper=doorkeeper,
            clock=built.clock,
            most=settings.max_message_bytes,
            accepted=self._accepted,
        )
        endpoint = FhirEndpoint(
            shelves=built.shelves,
            plans=plans_of(built),
            doorkeeper=doorkeeper,
            clock=built.clock,
            zone=built.agreement.zone,
            public_url=settings.public_url,
            served=self.metrics.served,
        )
        subscribing = Subscribing(
            store=built.store,
            subscribers=Subscribers(subscriptions=built.outbox.subscriptions),
            doorkeeper=doorkeeper,
            clock=built.clock,
            nudge=self._nudge,
        )
        self.live = Live(
            store=built.store,
            entrance=entrance,
            register=built.register,
            clock=built.clock,
            headers=pages.HEADERS,
        )
        shown = pages.Pages(
            store=built.store,
            inbox=built.inbox,
            register=built.register,
            region=built.region.name if built.region is not None else None,
            entrance=entrance,
            clock=built.clock,
            country=built.agreement.name,
            emergency_access=settings.emergency_access,
            live=self.live,
        )
        hosts = ["127.0.0.1", "localhost", "[::1]", settings.host]
        if settings.public_url is not None:
            hosts.append(urlsplit(settings.public_url).hostname or "")
        if not settings.loopback:
            hosts = ["*"]  # behind a name of the operator's choosing; everybody must sign in there
        watched = health.routes(built.store, self.metrics, entrance if settings.metrics_sign_in else None)
        plans = PlanPages(
            load=stored_plans(built.shelves),
            entrance=entrance,
            store=built.store,
            register=built.register,
            clock=built.clock,
            zone=built.agreement.zone,
            country=built.agreement.name,
        )
        partners = [*door.routes(), *smart.routes(), *subscribing.routes(), *endpoint.routes()]
        theirs = [*plans.routes(), *self.live.routes(), *shown.routes()]
        return application([*partners, *watched, *theirs], hosts=hosts)

    def start(self) -> str | None:
        """Start what the role asks for; returns the address to open, None for a worker."""
        from adapter.scheduler.older import Older

        check_exposure(self.built.settings, self.built.register)
        check_tls(self.built.settings)
        refuse(unreadable_files(self.built.settings, self.built.register))
        compile_schemas(self.built.schemas)
        self.built.rosters.start(self.built.store, self.built.outbox.alarms)
        Older(store=self.built.store)()  # what an older process took before is known from the start
        if self.deliverer is not None and self.clockwork is not None:
            restoring(self.built, self.jobs)()
            self.built.store.write(lambda tx: self.built.outbox.find_endpoints(tx, self.built.clock()))
            self.deliverer.start()
            self.duties()
            self.jobs["journal"][1]()  # what an older process took before is in the journal from the start
            self.clockwork.start()
        if self.clocks is not None:
            self.clocks.start(every=1.0)
        if self.role == "worker":
            self._show_metrics()
            return None
        from adapter.fhir.validation import warm
        from adapter.web.app import serve, server

        settings = self.built.settings
        self._server = server(
            self.app(),
            host=settings.host,
            port=settings.port,
            certificate=settings.tls_certificate,
            key=settings.tls_key,
            client_ca=settings.client_ca,
        )
        self._thread = threading.Thread(target=serve, args=(self._server,), name="web", daemon=True)
        self._thread.start()
        self._warming = threading.Thread(target=warm, name="warm", daemon=True)
        self._warming.start()
        return self._listening()

    def _show_metrics(self) -> None:
        """A worker's own counters, where the settings give it a port for them."""
        port = self.built.settings.worker_port
        if port is not None and self.metrics is not None:
            from adapter.web.metrics import Door

            self._door = Door(self.metrics, port)

    def _listening(self) -> str:
        """Wait until the port is bound; raises ConfigurationError where it cannot be."""
        assert self._server is not None and self._thread is not None
        while not self._server.started:
            self._thread.join(timeout=0.01)
            if not self._thread.is_alive() and not self._server.started:
                settings = self.built.settings
                raise ConfigurationError(
                    f"cannot listen on {settings.host}:{settings.port}; is something else listening there? "
                    "Choose another with --port"
                )
        host = self.built.settings.host
        port = self._server.servers[0].sockets[0].getsockname()[1]
        scheme = "https" if self.built.settings.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def wait(self, stop: threading.Event) -> None:
        """Run until `stop` is set or the server ends."""
        self._settle()
        while not stop.is_set() and (self._thread is None or self._thread.is_alive()):
            stop.wait(0.5)

    def _settle(self) -> None:
        """Have the collector of garbage leave alone what has been loaded: it stays until the end.

        Walking over all of it takes an eighth of a second, which came now and then in the midst of a page.
        """
        if self._warming is not None:
            self._warming.join()
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Take nothing more, let what is on its way finish, close the store."""
        if self.live is not None:
            self.live.stop()  # else the server would wait for its connections
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        self.built.rosters.stop()
        if self.clocks is not None:
            self.clocks.stop()
        if self.clockwork is not None:
            self.clockwork.stop()
            self._leave()
        if self.deliverer is not None:
            self.deliverer.stop()
        if self._door is not None:
            self._door.close()
        if self._warming is not None:
            self._warming.join()  # inside native code it cannot be left behind: the process would abort
        self.built.store.close()

    def _leave(self) -> None:
        """Others need not wait for what this process did; without the store they wait a few seconds."""
        try:
            self.duties.leave()
        except StoreError as error:
            log.warning("duties not given back", error=str(error))

    def _accepted(self, done: Acceptance, seconds: float | None = None) -> None:
        if self.metrics is not None:
            self.metrics.accepted(done, seconds)
        more = {} if seconds is None else {"ms": round(seconds * 1000, 1)}
        log_acceptance(done, **more)
        self._nudge()

    def _nudge(self) -> None:
        if self.deliverer is not None:
            self.deliverer.nudge()

    def _attempted(self, leased: Leased, reply: Reply, outcome: str) -> None:
        if self.metrics is not None:
            self.metrics.attempted(leased, reply, outcome)
