"""What is not watched but asked: the claims, what the API server says to the template, nodes and quotas.

Called by `observe`. It writes nothing: the Job of the dry run never comes to be.
"""

import re
from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.api import NASSearchSpec
from bananas_core.workload import pod
from bananas_core.workload.job import build_sample_job, template_hash
from bananas_core.workload.surroundings import ClaimView, claim_view, named_claims
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import AlreadyExistsError, NotFoundError, RefusedError
from bananas_operator.inventory import Inventory
from bananas_operator.memory import CheckedFacts, SearchMemory
from bananas_operator.resources import CLAIMS, JOBS
from bananas_operator.settings import Settings
from bananas_operator.views import Facts, Problem, SearchView

QUOTA = re.compile(r"exceeded quota: ([^\s,]+)")
STRICT_DRY_RUN = (("dryRun", "All"), ("fieldValidation", "Strict"))


class FactFinder:
    """Asks the API server, and remembers the answers for a while."""

    def __init__(self, api: KubernetesApi, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._inventory = Inventory(api, settings)

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
        missing, claims = await self._claims(search, search.spec)
        template = None if accepted else await self._template_problem(search, search.spec)
        wrong = bool(missing) or template is not None
        wait = self._settings.recheck_seconds if wrong else self._settings.claim_seconds
        facts = Facts(
            missing,
            template,
            now + timedelta(seconds=wait),
            claims,
            nodes=await self._inventory.nodes(now),
            quotas=await self._inventory.quotas(search.namespace, now),
        )
        memory.facts = CheckedFacts(question, facts)
        return facts

    async def _claims(
        self, search: SearchView, spec: NASSearchSpec
    ) -> tuple[tuple[tuple[str, str], ...], tuple[ClaimView, ...]]:
        missing, found = [], []
        for field, name in named_claims(spec):
            try:
                found.append(claim_view(field, await self._api.get(CLAIMS, search.namespace, name)))
            except NotFoundError:
                missing.append((field, name))
        return tuple(missing), tuple(found)

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
    quota = QUOTA.search(message)
    if quota is not None:
        return Problem(
            constants.REASON_QUOTA_EXCEEDED,
            f"waits for ResourceQuota {quota[1]}, which is used up: {text}. It goes on by itself as soon as the quota has room; "
            f"raise it, or lower {field}.resources, if that takes too long",
        )
    if "PodSecurity" in message or "forbidden" in message:
        return Problem(
            constants.REASON_POD_REFUSED,
            f"the API server refuses the pod: {text}. Change {field}, or what the namespace allows",
        )
    return Problem(otherwise, f"the API server refuses {field}: {text}. Mend {field}")
