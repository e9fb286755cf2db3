"""`python -m bananas_operator`: settings from the environment, everything wired once, run until one part ends.

In a cluster the pod's own account is used; with KUBECONFIG set, that file's current context.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from aiohttp import web
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from bananas_operator import doorbell, metrics
from bananas_operator.apply import Applier
from bananas_operator.cache import Cache, Lister, uid_of
from bananas_operator.client import KubernetesApi
from bananas_operator.election import Election
from bananas_operator.errors import LeaseLostError, SettingsError
from bananas_operator.fence import Fence
from bananas_operator.health import Health
from bananas_operator.http import Http
from bananas_operator.memory import Memory
from bananas_operator.observe import Observer
from bananas_operator.queue import SearchQueue
from bananas_operator.reconcile import Reconciler
from bananas_operator.settings import Settings

log = structlog.get_logger()

STOP_SECONDS = 3
DRAIN_SECONDS = 3
"""For the writes under way to be answered, then for everything else to end: the pod has 10 s."""
LARGE = 5_000
"""Objects in a cache that is worth half a second every five minutes."""
LEASE_TIMEOUT_SECONDS = 3
"""Of a request for the Lease: several fit into the deadline for a renewal."""


async def run(settings: Settings) -> None:
    """Runs the operator until it is stopped by a signal, or a part of it dies.

    Raises:
        LeaseLostError: another replica acts now.
    """
    loop = asyncio.get_running_loop()
    async with kubernetes_client.ApiClient(await _configuration()) as api_client:
        fence = Fence(margin_seconds=settings.lease_margin_seconds)
        api = KubernetesApi(api_client, timeout_seconds=settings.request_timeout_seconds, fence=fence)
        election = Election(KubernetesApi(api_client, timeout_seconds=LEASE_TIMEOUT_SECONDS), fence, settings)
        queue = SearchQueue(
            backoff_seconds=settings.error_backoff_seconds, backoff_limit_seconds=settings.error_backoff_limit_seconds
        )
        cache, memory = Cache(clock=loop.time), Memory()
        lister = Lister(api, cache, settings, queue.ring, loop.time)
        health = Health(cache, lister, settings)
        registry = metrics.make_registry(cache, election)
        observer = Observer(api, cache, memory, settings)
        lister.after_list += [
            observer.forget_gone,
            lambda: memory.forget({uid_of(s) for s in cache.searches()}),
            lambda: _settle_garbage(cache),
        ]
        pass_metrics = metrics.PassMetrics(registry)
        reconciler = Reconciler(
            queue=queue,
            observer=observer,
            applier=Applier(api, cache, memory, settings, pass_metrics.refused),
            settings=settings,
            metrics=pass_metrics,
            clock=lambda: datetime.now(UTC),
        )
        http = Http(cache, memory, registry, health, queue.ring, election)
        await _run_all(
            _stopped(),
            election.run(),
            lister.run(),
            _serve(http.application(), settings.port),
            _watch(lister, cache, queue, settings),
            _lead(election, lister, reconciler, settings.workers),
            before_end=lambda: _hand_over(fence, election),
        )


async def _hand_over(fence: Fence, election: Election) -> None:
    """Lets the next leader begin at once, if nothing of ours can happen any more that it might miss."""
    await fence.drained(DRAIN_SECONDS)
    if fence.settled:
        await election.release()


def _settle_garbage(cache: Cache) -> None:
    """A large cache lives long: without this, ten thousand trials are looked through for garbage in every other pass (0.1 s)."""
    if cache.size() < LARGE:
        return
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def _watch(lister: Lister, cache: Cache, queue: SearchQueue, settings: Settings) -> None:
    await lister.ready.wait()  # kopf looks only once which kinds there are: not before all can be listed
    await doorbell.listen(cache, queue.ring, settings)


async def _lead(election: Election, lister: Lister, reconciler: Reconciler, workers: int) -> None:
    """Passes, once this replica leads and has seen everything that the last leader has done."""
    await election.acquired.wait()
    await lister.list_anew()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(reconciler.work())


async def _stopped() -> None:
    """Ends at SIGTERM or SIGINT; never, where somebody else has the main thread."""
    stop = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    log.info("stops")


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        log.info("listens", port=port)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _run_all(*parts: Coroutine[Any, Any, None], before_end: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """All parts, until the first ends; then what must be done before the others are cut off."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await before_end()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in done:
        task.result()


async def _configuration() -> kubernetes_client.Configuration:
    configuration = kubernetes_client.Configuration()
    file = os.environ.get("KUBECONFIG")
    try:
        if file:
            await kubernetes_config.load_kube_config(config_file=file, client_configuration=configuration)
        else:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
    except kubernetes_config.ConfigException as error:
        where = f"KUBECONFIG={file}" if file else "no KUBECONFIG is set, and this is no pod"
        raise SettingsError(f"{where}: {error}") from error
    return configuration


def _configure_logging() -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it misses the signals, which are ours


def main() -> int:
    """0 after a stop by signal; 1 if the Lease is lost; 2 for settings that cannot be."""
    parser = argparse.ArgumentParser(prog="bananas_operator", description="The Kubernetes operator of Bananas.")
    parser.add_argument(
        "--namespace-of-operator", help="Namespace of the operator's Service (BANANAS_OPERATOR_NAMESPACE)."
    )
    parser.add_argument("--port", help="Port of /metrics, /healthz and progress (BANANAS_PORT).")
    arguments = parser.parse_args()
    given = {"operator_namespace": arguments.namespace_of_operator, "port": arguments.port}
    _configure_logging()
    try:
        asyncio.run(run(Settings.from_environment(os.environ, **{k: v for k, v in given.items() if v is not None})))
    except SettingsError as error:
        print(f"bananas_operator: {error}", file=sys.stderr)
        return 2
    except LeaseLostError as error:
        print(f"bananas_operator: {error}; begins anew", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
