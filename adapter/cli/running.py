"""Running: the adapter itself, the demo, and a simulation that ends with a report."""

import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.frame import Chosen, Json, app, flush, print_json, put, say
from adapter.config import Region, Settings, load, load_region
from adapter.config.alarms import MailSettings
from adapter.errors import ConfigurationError

if TYPE_CHECKING:
    from adapter.messaging.register import Register
    from adapter.runtime import Adapter

PANEL = "Run"


@app.command(rich_help_panel=PANEL)
def run(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="With a simulated region that lives around it.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default: 127.0.0.1)")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on (default: 8425)")
    ] = None,
    role: Annotated[str, typer.Option(help="all, web or worker")] = "all",
    as_json: Json = False,
) -> None:
    """Run the adapter until it is told to stop."""
    from adapter.runtime import Adapter, set_up_logs, stations

    set_up_logs(quiet=demo)
    if role not in ("all", "web", "worker"):
        raise ConfigurationError(f"--role {role}: write all, web or worker")
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = load(Chosen.config, **chosen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _demo(settings) if demo else _no_demo(settings) as (settings, region, live):
        adapter = Adapter(stations(settings, region=region, say=say), role=role)
        try:
            address = adapter.start()
            _ready(adapter, address, as_json)
            life = live(address) if address else None
            adapter.wait(stop)
            if life is not None:
                life()
        finally:
            adapter.stop()


def _ready(adapter: "Adapter", address: str | None, as_json: bool) -> None:
    """Say that it runs, and where; scripts get it on standard output, and nothing else there."""
    say(f"The discharge adapter is running. Open {address}/" if address else "The worker is running.")
    region = adapter.built.region
    for warning in region.warnings if region is not None else ():
        say(f"warning: {warning}")
    if as_json:
        store = adapter.built.store.engine.url.render_as_string(hide_password=True)
        print_json({"address": address, "role": adapter.role, "store": store})
        flush()


Life = Callable[[str], Callable[[], None] | None]


@contextmanager
def _no_demo(settings: Settings) -> Iterator[tuple[Settings, Region | None, Life]]:
    yield settings, None, lambda _: None


def told_to_nobody(settings: Settings) -> Settings:
    """No person and no system is told of what only pretends to go wrong."""
    return settings.model_copy(update={"mail": MailSettings(), "alarm_webhook": None})


@contextmanager
def _demo(settings: Settings) -> Iterator[tuple[Settings, Region | None, Life]]:
    """A region file's parties as simulated servers; a store of its own that goes when the demo ends."""
    from adapter.runtime import now
    from adapter.simulator.places import at_free_ports, in_folder, with_fresh_tokens
    from adapter.simulator.region import Outage, SimulatedRegion

    if settings.region is None:
        raise ConfigurationError(
            "--demo needs a region file to simulate; try "
            "DISCHARGE_ADAPTER_REGION=fixtures/regions/indre-sogn.toml"
        )
    region = load_region(settings.region)
    with tempfile.TemporaryDirectory(prefix="discharge-demo-") as folder:
        register, tokens = with_fresh_tokens(in_folder(at_free_ports(region.register_), Path(folder)))
        settings = told_to_nobody(settings).model_copy(update={"store": f"sqlite:///{folder}/demo.db"})

        def live(address: str) -> Callable[[], None]:
            simulated = SimulatedRegion(
                register,
                address,
                tokens,
                folder=Path(folder),
                clock=now,
                seed=settings.port,
                speed=3600.0,
                pathway=region.own.first_pathway,
            )
            simulated.start()
            simulated.live(per_minute=24, outage=Outage(first=8, lasts=40, every=75))
            return simulated.stop

        with _pretend_register(region, register):
            yield settings, region.model_copy(update={"register_": register}), live


@contextmanager
def _pretend_register(region: Region, register: "Register") -> Iterator[None]:
    """A pretend address register of the region's parties, in Norway; `look-up` elsewhere can ask it."""
    if region.agreement != "norway":
        yield
        return
    from adapter.simulator.address_register import AddressRegisterServer, registered
    from adapter.simulator.threads import serving

    server = AddressRegisterServer(registered(register))
    with serving(server):
        say(f"A pretend address register answers at {server.url}")
        yield


@app.command(rich_help_panel=PANEL)
def simulate(
    region_file: Annotated[Path, typer.Argument(metavar="REGION.toml", help="The region to pretend.")],
    *,
    cases: Annotated[int, typer.Option(min=0, help="How many patients.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed tells the same stories.")] = 0,
    faults: Annotated[str, typer.Option(help="What goes wrong: slow=luster:2s,down=sogndal:30s, ...")] = "",
    as_json: Json = False,
) -> None:
    """Run a simulated region around an adapter of its own, and report what became of every message."""
    from adapter.runtime import Adapter, now, set_up_logs, stations
    from adapter.simulator.faults import Faults
    from adapter.simulator.places import at_free_ports, in_folder, with_fresh_tokens
    from adapter.simulator.planning_region import PlanningRegion, plans_together
    from adapter.simulator.region import SimulatedRegion

    set_up_logs(quiet=True)  # the report says it all
    region = load_region(region_file)
    together = region.agreement == "sweden" and plans_together(region.register_)
    if together and faults:
        raise ConfigurationError(
            "--faults: the parties of this region only ask, so nothing can go wrong there"
        )
    ordered = Faults.parse(faults, [e.name for e in region.register_.endpoints])
    with tempfile.TemporaryDirectory(prefix="discharge-simulation-") as folder:
        register, tokens = with_fresh_tokens(in_folder(at_free_ports(region.register_), Path(folder)))
        settings = told_to_nobody(load(Chosen.config, store=f"sqlite:///{folder}/simulation.db", port=0))
        adapter = Adapter(stations(settings, region=region.model_copy(update={"register_": register})))
        address = adapter.start()
        assert address is not None
        simulated: PlanningRegion | SimulatedRegion
        if together:
            simulated = PlanningRegion(register, address, tokens, clock=now, seed=seed)
        else:
            simulated = SimulatedRegion(
                register,
                address,
                tokens,
                folder=Path(folder),
                clock=now,
                seed=seed,
                faults=ordered,
                speed=36_000.0,
                pathway=region.own.first_pathway,
            )
        try:
            simulated.start()
            with _progress(cases, quiet=as_json) as told:
                report = simulated.run(cases, progress=told)
        finally:
            simulated.stop()
            adapter.stop()
    if as_json:
        print_json(report.as_dict())
    else:
        put(report.table())
    if report.total.lost or not report.quiet:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def message_server(
    clients: Annotated[
        list[str], typer.Argument(metavar="CLIENT=HER,HER...", help="Who may sign in, for which HER-ids.")
    ],
    *,
    folder: Annotated[Path, typer.Option(help="Where the clients' keys are, or are made.")] = Path(),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8426,
    as_json: Json = False,
) -> None:
    """Run a national message server (EDI 2.0) of this machine's own, to try things out with."""
    from adapter.runtime import new_id, now
    from adapter.simulator.message_clients import PretendClient, read_client
    from adapter.simulator.message_server import PretendServer
    from adapter.simulator.threads import serving

    known: list[PretendClient] = [read_client(text, folder) for text in clients]
    server = PretendServer(clock=now, new_id=new_id, port=port)
    for one in known:
        server.serve(one.name, one.public_key(), *one.her_ids)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with serving(server):
            say(f"The message server is running at {server.address}")
            if len(known) > 1:
                say("Each client below is an adapter of its own: give each one block, in a file of its own.")
            shown = [one.settings(server.address, server.token_url) for one in known]
            if as_json:
                print_json({"address": server.address, "token_url": server.token_url, "clients": shown})
            else:
                put("\n".join(one.lines(server.address, server.token_url) for one in known))
            flush()
            while not stop.wait(0.5):
                pass  # a signal may have gone to another thread, and would not wake this one
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on port {port}: {error.strerror}; choose another with --port"
        ) from error


@contextmanager
def _progress(cases: int, *, quiet: bool) -> Iterator[Callable[[Any], None] | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{cases} patients", total=None)

        def told(report: Any) -> None:
            bar.update(
                task, total=max(1, report.total.sent), completed=report.total.receipted + report.total.refused
            )

        yield told
