"""The one place that builds things: store, transports, clock, scheduler, web; start and stop.

Begin with `stations`: what there is over one store. `process` makes it run, `jobs` says what runs by itself,
`peers` whom it speaks to, `checks` what must hold before. The clock, randomness and new ids are in `chance`.
"""

from adapter.runtime.chance import jitter, new_id, now, process_name
from adapter.runtime.checks import check_exposure, check_tls, findings, schema_coverage, schema_folder
from adapter.runtime.jobs import folder_of, reconciliation
from adapter.runtime.logs import log_acceptance, set_up_logs
from adapter.runtime.peers import address_register, her_ids, mail_server
from adapter.runtime.process import Adapter
from adapter.runtime.stations import Stations, checks_by, stations

__all__ = [
    "Adapter", "Stations", "address_register", "check_exposure", "check_tls", "checks_by", "findings",
    "folder_of", "her_ids", "jitter", "log_acceptance", "mail_server", "new_id", "now", "process_name",
    "reconciliation", "schema_coverage", "schema_folder", "set_up_logs", "stations",
]  # fmt: skip
