"""`python -m bananas_operator`: settings from the environment, everything wired once, run until one part ends.

In a cluster the pod's own account is used; with KUBECONFIG set, that file's current context.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import kopf
import structlog
from aiohttp import web
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from bananas_core import constants
from bananas_operator import doorbell, metrics
from bananas_operator.apply import Applier
from bananas_operator.cache import Cache, Lister, uid_of
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import SettingsError
from bananas_operator.health import Health
from bananas_operator.http import Http
from bananas_operator.memory import Memory
from bananas_operator.observe import Observer
from bananas_operator.queue import SearchQueue
from bananas_operator.reconcile import Reconciler
from bananas_operator.settings import Settings

log = structlog.get_logger()

STOP_SECONDS = 5
"""kopf sometimes misses that it is cancelled; nothing is lost when it is cut off, and the pod has 10 s."""


async def run(settings: Settings) -> None:
    """Runs the operator until it is stopped by a signal, or a part of it dies."""
    loop = asyncio.get_running_loop()
    async with kubernetes_client.ApiClient(await _configuration()) as api_client:
        api = KubernetesApi(api_client, timeout_seconds=settings.request_timeout_seconds)
        queue = SearchQueue(
            backoff_seconds=settings.error_backoff_seconds, backoff_limit_seconds=settings.error_backoff_limit_seconds
        )
        cache, memory = Cache(clock=loop.time), Memory()
        lister = Lister(api, cache, settings, queue.ring, loop.time)
        health = Health(cache, lister, settings)
        registry = metrics.make_registry(cache)
        observer = Observer(api, cache, memory, settings)
        lister.after_list += [observer.forget_gone, lambda: memory.forget({uid_of(s) for s in cache.searches()})]
        reconciler = Reconciler(
            queue=queue,
            observer=observer,
            applier=Applier(api, cache, memory, settings),
            settings=settings,
            metrics=metrics.PassMetrics(registry),
            clock=lambda: datetime.now(UTC),
        )
        http = Http(cache, memory, registry, health.problems, queue.ring)
        await _run_all(
            kopf.operator(
                registry=doorbell.make_registry(cache, queue.ring),
                settings=doorbell.make_settings(settings),
                standalone=True,
                identity=constants.MANAGER_OPERATOR,  # else kopf asks for the user's name, which UID 65532 has not
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
            ),
            lister.run(),
            _serve(http.application(), settings.port),
            *(_work(lister, reconciler) for _ in range(settings.workers)),
        )


async def _work(lister: Lister, reconciler: Reconciler) -> None:
    await lister.ready.wait()  # nothing is decided before everything has been seen once
    await reconciler.work()


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        log.info("listens", port=port)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _run_all(*parts: Coroutine[Any, Any, None]) -> None:
    """All parts, until the first ends; kopf's ends at SIGTERM."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
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


def main() -> int:
    """0 after a stop by signal; 2 for settings that cannot be."""
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
