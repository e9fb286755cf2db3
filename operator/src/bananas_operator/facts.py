"""What is not watched but asked: do the claims exist, what does the API server say to the template.

Called by `observe`. It writes nothing: the Job of the dry run never comes to be.
"""

from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_operator import pod
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import AlreadyExistsError, NotFoundError, RefusedError
from bananas_operator.job import build_sample_job, template_hash
from bananas_operator.memory import CheckedFacts, SearchMemory
from bananas_operator.resources import CLAIMS, JOBS
from bananas_operator.settings import Settings
from bananas_operator.views import Facts, Problem, SearchView

STRICT_DRY_RUN = (("dryRun", "All"), ("fieldValidation", "Strict"))


class FactFinder:
    """Asks the API server, and remembers the answers for a while."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api = api
        self._settings = settings

    async def gather(self, search: SearchView, memory: SearchMemory, now: datetime) -> Facts:
        """The facts of a search; asked anew when its spec changed, when something was missing, and after a while."""
        ended = search.status.phase in ("Complete", "Failed") and search.status.observed_generation == search.generation
        if search.spec is None or search.deleting or ended:
            return Facts()
        question = pod.digest([search.generation, template_hash(search.spec, self._settings)])
        known = memory.facts
        if known is not None and known.question == question:
            again = known.facts.check_again_at
            if again is not None and now < again:
                return known.facts
        elif known is not None:
            memory.ask_again()
        same_question = known is not None and known.question == question
        accepted = same_question and known is not None and known.facts.template is None
        missing = await self._missing_claims(search, search.spec)
        template = None if accepted else await self._template_problem(search, search.spec)
        wrong = bool(missing) or template is not None
        wait = self._settings.recheck_seconds if wrong else self._settings.claim_seconds
        facts = Facts(missing, template, now + timedelta(seconds=wait))
        memory.facts = CheckedFacts(question, facts)
        return facts

    async def _missing_claims(self, search: SearchView, spec: NASSearchSpec) -> tuple[tuple[str, str], ...]:
        wanted = (("spec.data.claim", spec.data), ("spec.checkpoints.claim", spec.checkpoints))
        missing = []
        for field, reference in wanted:
            if reference is not None and not await self._claim_exists(search.namespace, reference.claim):
                missing.append((field, reference.claim))
        return tuple(missing)

    async def _claim_exists(self, namespace: str, name: str) -> bool:
        try:
            await self._api.get(CLAIMS, namespace, name)
        except NotFoundError:
            return False
        return True

    async def _template_problem(self, search: SearchView, spec: NASSearchSpec) -> Problem | None:
        sample = build_sample_job(search, spec, self._settings)
        try:
            await self._api.create(JOBS, search.namespace, sample, STRICT_DRY_RUN)
        except AlreadyExistsError:
            return None
        except RefusedError as error:
            return refusal(error.message, "spec.trial.template", constants.REASON_TEMPLATE_REFUSED)
        return None


def refusal(message: str, field: str, otherwise: str) -> Problem:
    """Why the API server refuses a Job, pod or Deployment, from the only thing that it tells: a text."""
    text = message[:1500]
    if "quota" in message:
        return Problem(
            constants.REASON_QUOTA_EXCEEDED,
            f"a ResourceQuota of the namespace refuses it: {text}. Raise the quota, or lower {field}.resources",
        )
    if "PodSecurity" in message or "forbidden" in message:
        return Problem(
            constants.REASON_POD_REFUSED,
            f"the API server refuses the pod: {text}. Change {field}, or what the namespace allows",
        )
    return Problem(otherwise, f"the API server refuses {field}: {text}. Mend {field}")
