"""Cells on a Dask cluster: each worker thread runs one at a time, in a process of its own beside the worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from kvopt.bench.cell import Cell, Outcome, Record, blank_record
from kvopt.bench.running import run_cell
from kvopt.errors import InputError, KvoptError
from kvopt.io.files import reason
from kvopt.versions import versions

if TYPE_CHECKING:
    from distributed import Client, Future

#: Seconds to wait for the scheduler, and for its first worker.
CONNECT_S, FIRST_WORKER_S = 10, 60


def connect(address: str) -> Client:
    """A client of the cluster whose scheduler is at `address`, such as ``tcp://10.0.0.7:8786``.

    Raises
    ------
    InputError
        If Dask is not installed, no scheduler answers, it has no workers, or these have another version of kvopt.
    """
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError:
        raise InputError("a cluster needs Dask, which is not installed: pip install 'kvopt[cluster]'") from None
    try:
        get_address_host_port(address)  # a client with a bad address takes long to give up
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r} ({reason(error)})") from None
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        theirs = {found["kvopt"] for found in client.run(versions).values()}
    except TimeoutError:
        client.close()
        raise InputError(f"the Dask cluster at {address!r} has no workers") from None
    except ModuleNotFoundError:
        client.close()
        raise InputError(f"the workers of the Dask cluster at {address!r} do not have kvopt installed") from None
    if theirs != {versions()["kvopt"]}:
        client.close()
        raise InputError(f"here is kvopt {versions()['kvopt']}, on the cluster {', '.join(sorted(theirs))}")
    return client


def run_on_cluster(cells: Sequence[Cell], address: str) -> Iterator[Record]:
    """Run cells on a cluster and yield their records as they end.

    A worker that dies takes its cell along; Dask tries that cell on others before it is recorded as crashed. When
    the caller goes away, cells that run on the cluster end by themselves within their limits.

    Parameters
    ----------
    cells : sequence of Cell
    address : str
        Of the scheduler.

    Raises
    ------
    InputError
        If there is no such cluster, see `connect`.
    KvoptError
        If the scheduler is lost.
    """
    with connect(address) as client:
        from distributed import as_completed

        waiting = iter(cells)
        sent: dict[Future, tuple[Cell, int]] = {}
        ended = as_completed([], loop=client.loop)

        def fill() -> None:
            """Keep every thread busy, those of workers that have joined since too, and send nothing ahead.

            A worker that dies counts against all cells that it was given.
            """
            threads = max(1, sum(client.nthreads().values()))
            for cell in islice(waiting, max(0, threads - len(sent))):
                future = client.submit(run_cell, cell, threads, pure=False)
                sent[future] = cell, threads
                ended.add(future)

        fill()
        for future in ended:
            cell, threads = sent.pop(future)
            if future.cancelled():
                raise KvoptError(f"the Dask cluster at {address!r} was lost; the same command goes on from here")
            fill()
            if future.status == "finished":
                yield future.result()
            else:
                yield lost(cell, threads, future.exception())


def lost(cell: Cell, jobs: int, error: BaseException | None) -> Record:
    """The record of a cell that the cluster could not bring to an end."""
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    what = f"on the cluster: {type(error).__name__}: {error}"
    return msgspec.structs.replace(blank_record(cell, jobs), outcome=Outcome.CRASHED, error=what, finished=finished)
