"""The only module that writes to the cluster. Last step of a pass, called by `reconcile`.

Every create is idempotent, every status write carries the version that was observed, and the first write that fails ends
the pass: what comes later in the plan may rest on it. What the API server refuses for good holds up its own object only.
It decides nothing, except that an object of a wanted name which is
not ours is left alone and told.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from bananas_core import constants
from bananas_core.model import Model
from bananas_operator.actions import (
    Action,
    CreateJob,
    CreateTrial,
    DeleteJob,
    DeleteJobs,
    DeletePredictor,
    EnsureConfigMap,
    EnsurePredictor,
    Note,
    Plan,
    WriteSearch,
    WriteTrial,
)
from bananas_operator.attempts import stamp
from bananas_operator.cache import Cache
from bananas_operator.client import KubernetesApi
from bananas_operator.errors import (
    AlreadyExistsError,
    ApiError,
    NotFoundError,
    RefusedError,
    RetryableError,
    StaleError,
)
from bananas_operator.facts import refusal
from bananas_operator.memory import Memory, SearchMemory
from bananas_operator.parse import controller_uid
from bananas_operator.predictor import image_of
from bananas_operator.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    ROLE_BINDINGS,
    SEARCHES,
    SERVICE_ACCOUNTS,
    TRIAL_STATUS,
    TRIALS,
    Json,
    Resource,
)
from bananas_operator.settings import Settings
from bananas_operator.views import Observed, Problem, SearchView

log = structlog.get_logger()


class Applier:
    """Carries plans out."""

    def __init__(
        self,
        api: KubernetesApi,
        cache: Cache,
        memory: Memory,
        settings: Settings,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._cache = cache
        self._memory = memory
        self._settings = settings
        self._refused = refused

    async def apply(self, observed: Observed, plan: Plan, now: datetime) -> None:
        """Does everything in the plan, in its order.

        Raises:
            ApiError: the first that is not expected; what follows it was not done.
        """
        memory = self._memory.of(observed.search.uid)
        memory.status_held_since = (memory.status_held_since or now) if plan.held else None
        refused: RefusedError | None = None
        for action in plan.actions:
            try:
                await self._do(observed.search, action, now)
            except RefusedError as error:
                if isinstance(action, WriteTrial):
                    self._note_refusal(observed.search, action, error, now)
                    return  # the next pass plans without this trial: what comes later in this one may rest on it
                self._refused(type(action).__name__)
                if not isinstance(action, DeleteJob | DeleteJobs | EnsurePredictor | DeletePredictor):
                    raise
                refused = refused or error  # nothing rests on it
        if refused is not None:
            raise refused

    async def _do(self, search: SearchView, action: Action, now: datetime) -> None:
        memory = self._memory.of(search.uid)
        match action:
            case WriteTrial():
                await self._write_trial(search, action, memory, now)
            case CreateJob():
                await self._create_job(search, action, memory, now)
            case CreateTrial(manifest):
                await self._make(TRIALS, search, manifest, memory, now)
            case EnsureConfigMap(manifest):
                await self._ensure_config_map(search, manifest, memory, now)
            case DeleteJob():
                await self._delete_job(search, action)
            case DeleteJobs():
                await self._delete_jobs(search, action)
            case EnsurePredictor():
                await self._ensure_predictor(search, action, memory, now)
            case DeletePredictor():
                await self._delete_predictor(search, action)
            case WriteSearch():
                await self._write_search(search, action, now)

    # --- statuses ---

    async def _write_trial(self, search: SearchView, action: WriteTrial, memory: SearchMemory, now: datetime) -> None:
        trial, status = action.trial, action.status
        body = _status_patch(trial.uid, trial.version, _with_nulls(status))
        await self._patch_status(TRIALS, search.namespace, trial.name, trial.uid, body)
        memory.made(TRIAL_STATUS, trial.name)
        if status.progress != trial.status.progress:
            memory.progress_written[trial.uid] = now
        self._say(search, action.decision, trial=trial.name, phase=status.phase)
        await self._note(search, action.notes, now)

    def _note_refusal(self, search: SearchView, action: WriteTrial, error: RefusedError, now: datetime) -> None:
        """One trial's status is refused: its own trouble, told by a condition, and tried again ever more seldom."""
        self._refused(type(action).__name__)
        problem = Problem(constants.REASON_STATUS_REFUSED, f"the API server refuses its status: {error.message[:1000]}")
        self._memory.of(search.uid).refused(TRIAL_STATUS, action.trial.name, problem, now, self._settings)
        log.warning("status refused", namespace=search.namespace, trial=action.trial.name, error=error.message)

    async def _write_search(self, search: SearchView, action: WriteSearch, now: datetime) -> None:
        status = _with_nulls(action.status)
        del status["predictor"]  # the predictor's own, by server-side apply
        body = _status_patch(search.uid, search.version, status)
        await self._patch_status(SEARCHES, search.namespace, search.name, search.uid, body)
        await self._note(search, action.notes, now)

    async def _patch_status(self, resource: Resource, namespace: str, name: str, uid: str, body: Json) -> None:
        try:
            written = await self._api.patch_status(resource, namespace, name, body)
        except NotFoundError as error:
            self._forget(resource, uid)
            raise StaleError(f"{resource.kind} {name} was deleted", status=404) from error
        except RetryableError:
            self._cache.suspect(resource, namespace, name)
            raise
        self._cache.put(resource, written, "write")

    # --- Jobs ---

    async def _create_job(self, search: SearchView, action: CreateJob, memory: SearchMemory, now: datetime) -> None:
        problem = await self._create(JOBS, search, action.manifest, action.trial.uid, "spec.trial.template")
        name = action.manifest["metadata"]["name"]
        if problem is None:
            memory.made(JOBS.kind, name)
            self._say(search, "attempt started", trial=action.trial.name, attempt=action.attempt)
        else:
            memory.refused(JOBS.kind, name, problem, now, self._settings)
            self._say(search, "attempt refused", trial=action.trial.name, reason=problem.reason, text=problem.message)

    async def _delete_job(self, search: SearchView, action: DeleteJob) -> None:
        name, uid = action.name, action.uid
        try:
            answer = await self._api.delete(JOBS, search.namespace, name, uid, owned_first=action.stops)
        except (NotFoundError, StaleError):  # gone already, or another object of that name, which is not meant
            self._forget(JOBS, uid)
            return
        if answer.get("kind") == JOBS.kind:
            self._cache.put(JOBS, answer, "write")  # it goes once its finalizers are done
        else:
            self._forget(JOBS, uid)
        self._say(search, "job stopped" if action.stops else "job deleted", job=name)

    async def _delete_jobs(self, search: SearchView, action: DeleteJobs) -> None:
        of_trials = f"{constants.LABEL_TRIAL_UID} in ({','.join(action.trial_uids)})"
        selector = f"{constants.LABEL_SEARCH_UID}={search.uid},{of_trials}"
        await self._api.delete_selected(JOBS, search.namespace, selector)
        for uid in action.job_uids:
            self._forget(JOBS, uid)
        self._say(search, "jobs deleted", jobs=len(action.job_uids))

    # --- promotion ---

    async def _make(
        self, resource: Resource, search: SearchView, manifest: Json, memory: SearchMemory, now: datetime
    ) -> Problem | None:
        """Makes an object of the promotion, and remembers a refusal."""
        name = manifest["metadata"]["name"]
        problem = await self._create(resource, search, manifest, search.uid, "spec.promote")
        if problem is None:
            memory.made(resource.kind, name)
            self._say(search, "made for the promotion", kind=resource.kind, name=name)
        else:
            memory.refused(resource.kind, name, problem, now, self._settings)
            self._say(search, "promotion refused", name=name, reason=problem.reason, text=problem.message)
        return problem

    async def _ensure_config_map(self, search: SearchView, manifest: Json, memory: SearchMemory, now: datetime) -> None:
        """Mostly it is there and right: then one read is all. What somebody has deleted or changed is restored."""
        name = manifest["metadata"]["name"]
        try:
            found = await self._api.get(CONFIG_MAPS, search.namespace, name)
        except NotFoundError:
            found = {}
        if not found or controller_uid(found) != search.uid or "deletionTimestamp" in found["metadata"]:
            problem = await self._make(CONFIG_MAPS, search, manifest, memory, now)
            if problem is not None:
                raise StaleError(problem.message, status=409)  # the status that follows says that it is there
        elif found.get("data") != manifest["data"]:
            await self._api.replace(CONFIG_MAPS, search.namespace, name, manifest)
            self._say(search, "winner published anew", name=name)
        memory.made(CONFIG_MAPS.kind, name)
        memory.winner_checked_at = now

    # --- predictor ---

    async def _ensure_predictor(
        self, search: SearchView, action: EnsurePredictor, memory: SearchMemory, now: datetime
    ) -> None:
        name = action.deployment["metadata"]["name"]
        problem = None
        if action.accounts:
            problem = await self._create(SERVICE_ACCOUNTS, search, action.service_account, search.uid, "spec.predictor")
            problem = problem or await self._create(
                ROLE_BINDINGS, search, action.role_binding, search.uid, "spec.predictor"
            )
        if problem is None and action.outdated:
            problem = await self._replace_deployment(search, action.deployment, memory, now)
        elif problem is None and not action.present:
            problem = await self._create(DEPLOYMENTS, search, action.deployment, search.uid, "spec.predictor")
        if problem is not None:
            memory.refused(DEPLOYMENTS.kind, name, problem, now, self._settings)
            self._say(search, "predictor refused", reason=problem.reason, text=problem.message)
            return
        memory.made(DEPLOYMENTS.kind, name)
        if action.accounts:
            memory.predictor_checked_at = now
        if action.outdated or not action.present:
            self._say(search, "predictor updated" if action.present else "predictor made")

    async def _replace_deployment(
        self, search: SearchView, manifest: Json, memory: SearchMemory, now: datetime
    ) -> Problem | None:
        try:
            written = await self._api.replace(DEPLOYMENTS, search.namespace, manifest["metadata"]["name"], manifest)
        except RefusedError as error:
            return refusal(error.message, "spec.predictor", constants.REASON_TEMPLATE_REFUSED)
        self._cache.put(DEPLOYMENTS, written, "write")
        memory.predictor_mended_at = now
        self._note_image(search, manifest, written)
        return None

    def _note_image(self, search: SearchView, manifest: Json, written: Json) -> None:
        """A webhook that rewrites images would do so again, whatever we send."""
        sent, kept = image_of(manifest), image_of(written)
        self._memory.of(search.uid).predictor_rewritten = (sent, kept) if sent != kept else None

    async def _delete_predictor(self, search: SearchView, action: DeletePredictor) -> None:
        for resource in (ROLE_BINDINGS, SERVICE_ACCOUNTS):
            await self._delete_own(resource, search, action.name)
        try:
            await self._api.delete(DEPLOYMENTS, search.namespace, action.name, action.deployment_uid)
        except (NotFoundError, StaleError):
            log.debug("predictor is gone already", search=search.name)
        self._forget(DEPLOYMENTS, action.deployment_uid)
        self._memory.of(search.uid).predictor_checked_at = None
        self._say(search, "predictor deleted")

    async def _delete_own(self, resource: Resource, search: SearchView, name: str) -> None:
        try:
            item = await self._api.get(resource, search.namespace, name)
            if controller_uid(item) == search.uid:
                await self._api.delete(resource, search.namespace, name, item["metadata"]["uid"])
        except NotFoundError:
            return

    # --- all ---

    async def _create(
        self, resource: Resource, search: SearchView, manifest: Json, owner_uid: str, field: str
    ) -> Problem | None:
        """Makes an object, or finds it made; a problem if it is refused or the name is another's."""
        namespace, name = search.namespace, manifest["metadata"]["name"]
        try:
            made = await self._api.create(resource, namespace, manifest)
            if resource is DEPLOYMENTS:
                self._note_image(search, manifest, made)
        except AlreadyExistsError:
            made = await self._api.get(resource, namespace, name)
            if controller_uid(made) != owner_uid or "deletionTimestamp" in made["metadata"]:
                return _conflict(resource, made, search)
        except RefusedError as error:
            return refusal(error.message, field, constants.REASON_TEMPLATE_REFUSED)
        except RetryableError:
            if resource in (JOBS, DEPLOYMENTS, TRIALS):
                self._cache.suspect(resource, namespace, name)
            raise
        if resource in (JOBS, DEPLOYMENTS, TRIALS):
            self._cache.put(resource, made, "write")
        return None

    def _forget(self, resource: Resource, uid: str) -> None:
        item = self._cache.by_uid(resource, uid)
        if item is not None:
            self._cache.remove(resource, item)

    def _say(self, search: SearchView, decision: str, **values: object) -> None:
        log.info(decision, namespace=search.namespace, search=search.name, **values)

    async def _note(self, search: SearchView, notes: tuple[Note, ...], now: datetime) -> None:
        """Events, after the write that they tell of; one that is lost is no reason to stop."""
        for note in notes:
            self._say(search, note.reason, message=note.message)
            try:
                await self._api.create(EVENTS, search.namespace, _event(search, note, now))
            except ApiError as error:
                log.warning("event lost", search=search.name, reason=note.reason, error=str(error))


def _with_nulls(status: Model) -> Json:
    """Fields that are None as null, which a merge patch takes as removal."""
    return status.model_dump(mode="json", by_alias=True)


def _status_patch(uid: str, version: str, status: Json) -> Json:
    return {"metadata": {"uid": uid, "resourceVersion": version}, "status": status}


def _conflict(resource: Resource, found: Json, search: SearchView) -> Problem:
    name = found["metadata"]["name"]
    if "deletionTimestamp" in found["metadata"]:
        text = f"{resource.kind} {name} is being deleted; waits until it is gone"
    else:
        text = (
            f"{resource.kind} {name} exists and is not of this search (UID {search.uid}). "
            "Delete or rename it, or choose another name for the search"
        )
    return Problem(constants.REASON_NAME_CONFLICT, text)


def _event(search: SearchView, note: Note, now: datetime) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": search.namespace, "generateName": f"{search.name}-"},
        "involvedObject": {
            "apiVersion": constants.API_VERSION,
            "kind": constants.SEARCH_KIND,
            "namespace": search.namespace,
            "name": search.name,
            "uid": search.uid,
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:1024],
        "source": {"component": constants.MANAGER_OPERATOR},
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }
