"""The operator's settings: one frozen object, made once from the environment by `__main__`.

Variables are `BANANAS_` and the field's name in capitals; an unknown BANANAS_ variable is an error.
"""

from collections.abc import Mapping
from socket import gethostname
from typing import Annotated, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bananas_core import constants
from bananas_operator.errors import SettingsError

PREFIX = "BANANAS_"
NOT_OURS = frozenset(("BANANAS_DATA",))
"""Where the tests find data sets; set in the shell of whoever develops."""
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """Every number of the operator, with its unit and why it is what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trainer_image: str = Field("localhost/bananas-trainer:dev", description="Image of trials with evaluator train.")
    tables_image: str = Field("localhost/bananas-tables:dev", description="Image of trials with evaluator table.")
    predictor_image: str = Field("localhost/bananas-predictor:dev", description="Image of predictors.")
    image_pull_policy: str = Field(
        "IfNotPresent", pattern="^(Always|IfNotPresent|Never)$", description="Where a template names none."
    )
    operator_namespace: str = Field("bananas-system", description="Namespace of the operator's Service and Lease.")
    identity: str = Field(
        default_factory=lambda: f"{gethostname()}-{uuid4().hex[:8]}",
        min_length=1,
        description="Of this replica, among all; in a cluster the pod's name.",
    )
    address: str = Field("", description="IP address of this replica, for the other ones. Empty: not to be reached.")
    lease_name: str = Field("bananas-operator", description="Name of the Lease whose holder acts.")
    lease_seconds: Seconds = Field(
        15, ge=1, description="A Lease not renewed for so long is taken over: with the rest, under 20 s after a kill."
    )
    renew_deadline_seconds: Seconds = Field(10, description="A leader that could not renew for so long ends.")
    lease_retry_seconds: Seconds = Field(2, description="Between renewals, and between looks of those who wait.")
    lease_margin_seconds: Seconds = Field(
        3, description="A write is sent only while the Lease lasts this much longer; half of it is left at its timeout."
    )
    progress_url: str = Field("", description="Where trainers post progress. Empty: the operator's own Service.")
    watch_namespaces: str = Field("", description="Comma-separated namespaces to serve. Empty: all.")
    port: int = Field(constants.METRICS_PORT, ge=0, le=65535, description="Port of /metrics, /healthz and progress.")
    workers: int = Field(
        4, ge=1, le=64, description="Searches worked on at once; a pass is mostly waiting for the API."
    )

    resync_seconds: Seconds = Field(
        300, description="Between full lists: how long a deletion that no watch told is believed."
    )
    page_size: int = Field(500, ge=1, le=10_000, description="Objects a list page: etcd's and kubectl's own habit.")
    request_timeout_seconds: Seconds = Field(30, description="Of one request; a list page of 500 takes under 2.")
    echo_seconds: Seconds = Field(
        60, description="A change known by list or write must be told by the watch within this."
    )

    error_backoff_seconds: Seconds = Field(1, description="After a first error of a search's pass; doubles.")
    error_backoff_limit_seconds: Seconds = Field(30, description="Longest backoff of a pass.")
    retry_backoff_seconds: Seconds = Field(
        10, description="Before the attempt after an error; doubles, as a Job's would."
    )
    retry_backoff_limit_seconds: Seconds = Field(
        300, description="Longest wait before an attempt, as kubelet's for images."
    )
    free_interruptions: int = Field(3, ge=0, description="Interruptions in all after which attempts wait too.")
    max_interruptions: int = Field(
        100, ge=1, description="A trial interrupted more often fails: something evicts it for ever."
    )
    healthy_seconds: Seconds = Field(30, description="An attempt that runs this long has found image, data and recipe.")
    blocked_limit_seconds: Seconds = Field(
        300, description="An image may be missing this long once the search has results."
    )
    lost_seconds: Seconds = Field(30, description="Past its grace period a pod that is still there is on a lost node.")
    avoid_seconds: Seconds = Field(
        1800, description="A node that failed twice in a row is avoided this long: time to mend it, and no longer."
    )
    jobs_together: int = Field(
        20, ge=1, le=50, description="Jobs of ended trials that are deleted in one request, once they are so many."
    )
    failed_job_seconds: Seconds = Field(4 * 3600, description="Failed Jobs are kept this long, for their logs.")

    node_seconds: Seconds = Field(60, description="Between lists of the nodes: 1000 of them are 10 MB.")
    forbidden_seconds: Seconds = Field(600, description="Before it asks again for what it may not read.")
    mount_seconds: Seconds = Field(
        10, description="A container not started this long after its pod: is it a volume? Also between such questions."
    )
    claim_seconds: Seconds = Field(60, description="How long a claim that was there is believed to be.")
    recheck_seconds: Seconds = Field(
        5, description="Between looks at what is missing or refused: far below the 30 s promised."
    )
    recheck_limit_seconds: Seconds = Field(60, description="Longest time between them.")
    predictor_limit_seconds: Seconds = Field(
        120, description="A predictor not available for this long is worth a condition."
    )
    unschedulable_seconds: Seconds = Field(15, description="A pod not placed for this long is worth a message.")
    status_seconds: Seconds = Field(
        5,
        description="Numbers of a search's status wait this long for others, to be written with them: an end, an admission and "
        "a start follow each other closely.",
    )
    progress_seconds: Seconds = Field(
        60, description="Between writes of a trial's progress: 1000 trials make 17 a second."
    )

    @model_validator(mode="after")
    def _lease_fits(self) -> Self:
        if not self.lease_retry_seconds < self.renew_deadline_seconds < self.lease_seconds - self.lease_margin_seconds:
            raise ValueError(
                "want BANANAS_LEASE_RETRY_SECONDS < BANANAS_RENEW_DEADLINE_SECONDS < BANANAS_LEASE_SECONDS - "
                "BANANAS_LEASE_MARGIN_SECONDS"
            )
        return self

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to serve; none means all."""
        return tuple(name.strip() for name in self.watch_namespaces.split(",") if name.strip())

    @property
    def own_address(self) -> str:
        """Where this replica's port is, or nothing."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" if host else ""

    @property
    def progress_address(self) -> str:
        """Where trainers post progress."""
        return self.progress_url or (
            f"http://bananas-operator.{self.operator_namespace}.svc:{constants.METRICS_PORT}{constants.PROGRESS_PATH}"
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: str) -> "Settings":
        """Reads the BANANAS_ variables.

        Raises:
            SettingsError: naming the variable.
        """
        ours = {name: value for name, value in environment.items() if name.startswith(PREFIX) and name not in NOT_OURS}
        values = {name[len(PREFIX) :].lower(): value for name, value in ours.items()}
        try:
            return cls.model_validate({**values, **given})
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:  # of several together
                raise SettingsError(first["msg"]) from error
            name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
            known = ", ".join(PREFIX + field.upper() for field in cls.model_fields)
            hint = f"; known are {known}" if first["type"] == "extra_forbidden" else ""
            raise SettingsError(f"{name}={first['input']!r}: {first['msg']}{hint}") from error
