"""Two worker processes share a computation, and the dashboard answers."""

import urllib.request

import dask
import dask.array as da
from distributed import Client, LocalCluster

if __name__ == "__main__":
    assert dask.config.get("temporary-directory") == "/tmp"
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=40)
        total = da.arange(1_000_000, chunks=100_000, dtype="int64").sum().compute()
        workers = {worker for worker, tasks in client.has_what().items()}
        port = cluster.scheduler.services["dashboard"].port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=10) as page:
            assert page.status == 200
        print("sum", total, "on", len(workers), "workers")
