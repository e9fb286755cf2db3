"""Cache -> `Observed`: everything of one search, frozen and typed. First step of a pass, called by `reconcile`.

It only reads. Before anything is concluded from an absence (a Job that should be there, a pod of a Job that has ended)
the API server is asked directly, because each watch lags on its own.
"""

from datetime import datetime, timedelta

from bananas_core import constants
from bananas_core.names import job_name, predictor_name
from bananas_core.workload import job as job_module
from bananas_core.workload.pod import digest
from bananas_operator import predictor as predictor_module
from bananas_operator.cache import Cache
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import NotFoundError
from bananas_operator.facts import FactFinder
from bananas_operator.memory import Memory
from bananas_operator.mounts import MountQuestions
from bananas_operator.parse import (
    controller_uid,
    deployment_view,
    donor_of,
    job_view,
    pod_view,
    search_view,
    trial_view,
)
from bananas_operator.queue import SearchKey
from bananas_operator.resources import DEPLOYMENTS, EVENTS, JOBS, PODS, TRIALS, Json
from bananas_operator.settings import Settings
from bananas_operator.views import (
    ContainerEnded,
    DeploymentView,
    Donor,
    JobView,
    Observed,
    PodView,
    SearchView,
    TrialView,
)


class Observer:
    """Makes `Observed` of a search."""

    def __init__(self, api: KubernetesApi, cache: Cache, memory: Memory, settings: Settings) -> None:
        self._api = api
        self._cache = cache
        self._memory = memory
        self._settings = settings
        self._facts = FactFinder(api, settings)
        self._mounts = MountQuestions(api, settings)
        self._parsed: dict[str, tuple[tuple[str, str], TrialView]] = {}

    async def observe(self, key: SearchKey, now: datetime) -> Observed | None:
        """Everything of a search; None if there is none of this name."""
        await self._read_suspects(key.namespace)
        item = self._cache.search(key)
        if item is None:
            return None
        search = search_view(item)
        trials = self._trials(search)
        await self._confirm_absent_jobs(search, trials)
        jobs = self._jobs(search)
        if await self._confirm_absent_pods(search, trials, jobs) or await self._confirm_unsuspended(search, jobs):
            jobs = self._jobs(search)
        memory = self._memory.of(search.uid)
        jobs, ask_again_at = await self._mounts.explain(search.namespace, jobs, now)
        memory.forget_trials({t.uid for t in trials if not t.terminal}, {t.name for t in trials})
        return Observed(
            search=search,
            trials=trials,
            jobs=jobs,
            deployment=self._deployment(search),
            facts=await self._facts.gather(search, memory, now),
            findings=tuple(memory.findings.values()),
            progress=memory.progress_views(self._settings),
            watched_since=memory.since(now),
            donors=self._donors(search, trials),
            ask_again_at=ask_again_at,
            status_held_until=(memory.status_held_since or now) + timedelta(seconds=self._settings.status_seconds),
            predictor_checked_at=memory.predictor_checked_at,
            predictor_mended_at=memory.predictor_mended_at,
            predictor_rewritten=memory.predictor_rewritten,
            winner_checked_at=memory.winner_checked_at,
        )

    async def _read_suspects(self, namespace: str) -> None:
        for resource, of_namespace, name in self._cache.suspects(namespace):
            try:
                item = await self._api.get(resource, of_namespace, name)
                self._cache.put(resource, item, "list")
            except NotFoundError:
                pass  # the watch or the next list will tell; a write to it gets 404
            self._cache.cleared(resource, of_namespace, name)

    # --- trials ---

    def _trials(self, search: SearchView) -> tuple[TrialView, ...]:
        items = [item for item in self._cache.owned(TRIALS, search.uid) if controller_uid(item) == search.uid]
        asked = _asked(search)
        found = (self._trial(item, search, asked) for item in items)
        return tuple(sorted(found, key=lambda trial: (trial.index, trial.name)))

    def _trial(self, item: Json, search: SearchView, asked: str) -> TrialView:
        """Parsed once for each version: hashing ten thousand architectures takes seconds, in which nothing else goes on."""
        uid, mark = item["metadata"]["uid"], (item["metadata"]["resourceVersion"], asked)
        known = self._parsed.get(uid)
        if known is not None and known[0] == mark:
            return known[1]
        view = trial_view(item, search)
        self._parsed[uid] = (mark, view)
        return view

    def _donors(self, search: SearchView, trials: tuple[TrialView, ...]) -> tuple[Donor, ...]:
        """Results of other searches, for architectures that are on offer here."""
        if search.spec is None or not search.spec.trial.reuse_results:
            return ()
        wanted = {trial.hash for trial in trials if trial.status.phase == "Pending"}
        found = []
        for item in self._cache.of_namespace(TRIALS, search.namespace) if wanted else ():
            labels = item["metadata"].get("labels") or {}
            foreign = labels.get(constants.LABEL_SEARCH_UID) != search.uid
            if foreign and labels.get(constants.LABEL_ARCHITECTURE) in wanted:
                donor = donor_of(item)
                if donor is not None:
                    found.append(donor)
        return tuple(sorted(found, key=lambda donor: (donor.status.reused_from is not None, donor.name)))

    def forget_gone(self) -> None:
        """Drops parsed trials that the cache no longer has."""
        self._parsed = {uid: parsed for uid, parsed in self._parsed.items() if self._cache.by_uid(TRIALS, uid)}

    # --- Jobs ---

    def _jobs(self, search: SearchView) -> tuple[JobView, ...]:
        pods = _by_controller(self._cache.owned(PODS, search.uid), "trial", job_module.CONTAINER)
        gone = _by_controller(self._cache.last_words.of(search.uid), "trial", job_module.CONTAINER)
        views = []
        for item in self._cache.owned(JOBS, search.uid):
            uid = item["metadata"]["uid"]
            pod = _latest(pods.get(uid, [])) or _latest(gone.get(uid, []))
            view = job_view(item, pod, self._refusal(uid) if pod is None else None)
            if view is not None and controller_uid(item) == view.trial_uid:
                views.append(view)
        return tuple(views)

    def _refusal(self, job_uid: str) -> str | None:
        events = self._cache.owned(EVENTS, job_uid)
        newest = max(events, key=lambda event: int(event["metadata"]["resourceVersion"]), default=None)
        return str(newest.get("message", "")) if newest is not None else None

    async def _confirm_absent_jobs(self, search: SearchView, trials: tuple[TrialView, ...]) -> None:
        present = {item["metadata"]["name"] for item in self._cache.owned(JOBS, search.uid)}
        for trial in trials:
            name = job_name(trial.name, trial.status.attempts)
            unsettled = trial.in_flight and trial.status.attempts > trial.status.settled_attempt
            if unsettled and name not in present:
                try:
                    self._cache.put(JOBS, await self._api.get(JOBS, search.namespace, name), "list")
                except NotFoundError:
                    continue

    async def _confirm_unsuspended(self, search: SearchView, jobs: tuple[JobView, ...]) -> bool:
        """Whether a Job was read whose pod was ended from outside: the news that a queue has suspended it may come later."""
        asked = False
        for job in jobs:
            ended = job.pod is not None and isinstance(job.pod.state, ContainerEnded) and job.pod.deletion is not None
            if ended and not (job.suspended or job.deleting or job.complete or job.failed):
                asked = True
                try:
                    self._cache.put(JOBS, await self._api.get(JOBS, search.namespace, job.name), "list")
                except NotFoundError:
                    continue
        return asked

    async def _confirm_absent_pods(
        self, search: SearchView, trials: tuple[TrialView, ...], jobs: tuple[JobView, ...]
    ) -> bool:
        settled = {trial.uid: trial.status.settled_attempt for trial in trials if trial.in_flight}
        asked = False
        for job in jobs:
            open_attempt = job.trial_uid in settled and job.attempt > settled[job.trial_uid]
            pod_ended = job.pod is not None and (isinstance(job.pod.state, ContainerEnded) or job.pod.phase == "Failed")
            if open_attempt and (job.complete or job.failed) and not pod_ended:
                await self._read_pods(search, job)
                asked = True
        return asked

    async def _read_pods(self, search: SearchView, job: JobView) -> None:
        selector = f"{constants.LABEL_TRIAL_UID}={job.trial_uid},{constants.LABEL_ATTEMPT}={job.attempt}"
        page = await self._api.list_page(PODS, search.namespace, [("labelSelector", selector)])
        listed = {item["metadata"]["uid"]: item for item in page.get("items") or []}
        for item in self._cache.owned(PODS, search.uid):
            if controller_uid(item) == job.uid and item["metadata"]["uid"] not in listed:
                self._cache.remove(PODS, item)
        for item in listed.values():
            self._cache.put(PODS, item, "list")

    # --- predictor ---

    def _deployment(self, search: SearchView) -> DeploymentView | None:
        name = predictor_name(search.name)
        for item in self._cache.owned(DEPLOYMENTS, search.uid):
            if item["metadata"]["name"] == name and controller_uid(item) == search.uid:
                found = self._cache.owned(PODS, search.uid)
                pods = _by_controller(found, "predictor", predictor_module.CONTAINER)
                of_it = tuple(view for views in pods.values() for view in views)
                return deployment_view(item, of_it, predictor_module.image_of(item))
        return None


def _asked(search: SearchView) -> str:
    """What of the search its trials are compared with; a person rarely changes any of it in flight."""
    spec = search.spec
    if spec is None:
        return ""
    table = spec.table.to_kubernetes() if spec.table is not None else None
    promote = spec.promote.to_kubernetes() if spec.promote is not None else None
    return digest([spec.space, spec.evaluator, table, spec.trial.recipe.to_kubernetes(), promote])


def _by_controller(items: list[Json], component: str, container: str) -> dict[str, list[PodView]]:
    """Pods of a component, by UID of their controller."""
    found: dict[str, list[PodView]] = {}
    for item in items:
        if item["metadata"]["labels"].get(constants.LABEL_COMPONENT) == component:
            found.setdefault(controller_uid(item) or "", []).append(pod_view(item, container))
    return found


def _latest(pods: list[PodView]) -> PodView | None:
    """With backoffLimit 0 there is one; if a Job controller made two, a result is looked for first."""
    ended = [pod for pod in pods if isinstance(pod.state, ContainerEnded) and pod.state.exit_code == 0]
    return max(ended or pods, key=lambda pod: (pod.created, pod.name), default=None)
