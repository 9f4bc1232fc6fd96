"""A Ray cluster of one head and two workers on this machine, run by a project's own Python.

It prints the head's address, then obeys: `kill` ends a worker's machine as a power cut would, `add`
starts another, and the end of the input ends the cluster.
"""

import logging
import sys

from ray.cluster_utils import Cluster

MEMORY = 2 * 2**30  # bytes that each machine says it has
STORE = 80 * 2**20

logging.disable(logging.WARNING)
# No work on the head, so that what is killed had some.
head = {"num_cpus": 0, "memory": MEMORY, "object_store_memory": STORE}
cluster = Cluster(
    initialize_head=True, head_node_args=head | {"include_dashboard": False}, shutdown_at_exit=True
)
worker = {"num_cpus": 1, "memory": MEMORY, "object_store_memory": STORE}
machines = [cluster.add_node(**worker) for _ in range(2)]
print(f"address {cluster.address}", flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        cluster.remove_node(machines.pop(0), allow_graceful=False)
        print("killed", flush=True)
    if line.strip() == "add":
        cluster.add_node(**worker)
cluster.shutdown()
