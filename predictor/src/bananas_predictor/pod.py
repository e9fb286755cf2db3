"""The predictor pod's program: `python -m bananas_predictor.pod`, started by the operator's Deployment.

It proposes trials of one search until it is ended. Killed at any moment it loses nothing, for it holds nothing.
"""

import asyncio
import os
import signal
import sys

# As process 1 of its container this program would otherwise not hear SIGTERM before its handler is there, and the imports
# below take a while.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import structlog  # noqa: E402

from bananas_predictor import loop  # noqa: E402
from bananas_predictor.api_server import ApiServerCluster, connect  # noqa: E402
from bananas_predictor.errors import InputError  # noqa: E402
from bananas_predictor.evaluation.trials import TrialEvaluation  # noqa: E402
from bananas_predictor.metrics import PredictorMetrics  # noqa: E402
from bananas_predictor.pulse import Pulse  # noqa: E402
from bananas_predictor.serving import serve  # noqa: E402
from bananas_predictor.settings import PodSettings  # noqa: E402


async def run(settings: PodSettings) -> None:
    """Follows the cluster, serves metrics, runs the loop."""
    metrics, pulse = PredictorMetrics(settings.namespace, settings.search), Pulse()
    async with ApiServerCluster(await connect(), settings) as cluster:

        def ailment() -> str | None:
            silent = cluster.silent_seconds()
            if silent > settings.dead_seconds:
                return f"lists and watches have been dead for {silent:.0f} s"
            return pulse.stuck(settings.stuck_seconds)

        serve(settings.metrics_port, metrics.registry, ailment)
        await loop.run(TrialEvaluation(cluster, settings, metrics), pulse)


def main() -> int:
    """0 never: it is ended from outside. 78 (EX_CONFIG) when the environment is not set."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    )
    try:
        # SIGTERM stays with os._exit, above: nothing is to be saved, and a fit in a thread could not be cancelled.
        asyncio.run(run(PodSettings.from_environment(os.environ)))
    except InputError as error:
        structlog.get_logger().error("environment", why=str(error))
        return os.EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
