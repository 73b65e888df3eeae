"""What can be measured, by name, in the order of a whole run."""

from collections.abc import Callable

from bench.findings import Findings
from bench.running import Bench
from bench.scenarios import agreement, bursts, delays, forms, growth, memory, rates, scaling

Scenario = Callable[[Bench], Findings]

SCENARIOS: dict[str, Scenario] = {
    "agreement": agreement.agreement,
    "throughput": rates.throughput,
    "latency": delays.latency,
    "burst": bursts.burst,
    "replay": growth.replay,
    "store": growth.store,
    "memory": memory.memory,
    "destinations": forms.destinations,
    "avro": forms.avro,
    "workers": scaling.workers,
    "offline": scaling.offline,
}
QUICK = ("throughput", "latency", "replay", "offline")
"""What fits into three minutes."""
