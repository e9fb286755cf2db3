"""Evaluation by NASTrials: a proposal becomes a trial object, and its status is the result.

Called by the loop in the predictor pod. It holds nothing that is not in the API: what it remembers between two rounds are
pauses and what it has logged. It never changes or deletes a trial.
"""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

import structlog

from bananas_core import constants
from bananas_core.api import NASSearchSpec, NASTrialSpec, PredictorStatus
from bananas_core.api.trial import TERMINAL_PHASES
from bananas_core.names import trial_name
from bananas_predictor.cluster import Cluster
from bananas_predictor.errors import AlreadyExistsError, ClusterError, InputError, NotFoundError, TemporaryError
from bananas_predictor.forecasts import score_forecasts
from bananas_predictor.metrics import PredictorMetrics
from bananas_predictor.objects import (
    SEEDS,
    Raw,
    SearchObject,
    TrialObject,
    read_search,
    read_trial,
    trial_spec,
    write_status,
    write_trial,
)
from bananas_predictor.offers import World, surplus
from bananas_predictor.search import Asked, Known, Proposal, Search, TrialRecord
from bananas_predictor.settings import PodSettings
from bananas_predictor.spaces import SearchSpace
from bananas_predictor.spaces.asked import SpaceSettings
from bananas_predictor.warm_start import known_results

REFUSALS: Final = 20
"""Trials in a row that the operator cancelled because something about them is wrong, after which no more are offered:
predictor and operator disagree, and no budget would ever end it."""
OUR_FAULT: Final = (
    constants.REASON_DUPLICATE_ARCHITECTURE,
    constants.REASON_RECIPE_MISMATCH,
    constants.REASON_INVALID_TRIAL,
)
BATCH_SIZE: Final = 10  # of the paper
CLOSED: Final = ("Complete", "Failed", "Suspended")
MAX_MESSAGE: Final = 1024  # PredictorStatus.message


class TrialEvaluation:
    """The trials of one search."""

    def __init__(
        self,
        cluster: Cluster,
        settings: PodSettings,
        metrics: PredictorMetrics,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Of the search that the settings name."""
        self._cluster = cluster
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger().bind(namespace=settings.namespace, search=settings.search)
        self._search: SearchObject | None = None
        self._versions: dict[str, tuple[str, TrialObject]] = {}
        self._reason = ""
        self._message = ""
        self._published: PredictorStatus | None = None
        self._wake_at: float | None = None
        self._held_since: float | None = None
        self._is_near_its_end = False
        self._pause = settings.retry_seconds
        self._logged: dict[str, str] = {}
        self._space: tuple[SpaceSettings, SearchSpace] | None = None
        self._known: tuple[Known, ...] | None = None

    async def observe(self) -> World:
        """The world after a change; while the search is gone, being deleted or unreadable, only waits."""
        while True:
            await self._cluster.wait(self._rest())
            self._wake_at = None
            self._search = self._read_search()
            if self._search is None:
                continue
            trials = self._read_trials(self._search)
            try:
                why_not = await self._warm_start(self._search)
                return self._world(self._search, trials, why_not)
            except InputError as error:
                await self._refuse(self._search, str(error))

    async def offer(self, proposals: list[Proposal]) -> None:
        """Creates a trial for each; stops at the first that cannot be and comes back later."""
        search = self._search
        assert search is not None  # observe has returned
        try:
            for proposal in proposals:
                if not await self._create(search, proposal):
                    return
        except TemporaryError as error:
            self._retry(f"trials cannot be created now, will try again: {error}")
        except ClusterError as error:
            self._retry(f"a trial was refused, will try again: {error}")
        else:
            self._pause = self._settings.retry_seconds
            if proposals:
                self._look_again(0)  # they may have been the urgent ones only

    async def publish(self, search: Search) -> None:
        """Writes status.predictor where it differs from what is there."""
        owner = self._search
        assert owner is not None  # observe has returned
        known = self._published or owner.predictor
        status = self._status(search, known)
        self._metrics.show(status)
        if status != known and not self._holds(status, known):
            await self._write(owner, status)

    async def _write(self, owner: SearchObject, status: PredictorStatus) -> None:
        if status == (self._published or owner.predictor):
            return
        self._held_since = None
        try:
            await self._cluster.apply_search_status(write_status(owner, status))
        except TemporaryError as error:
            self._retry(f"the status cannot be written now: {error}")
            return
        except ClusterError as error:  # the search is gone, or the right is missing: nobody to tell but the log
            self._say("status", f"status.predictor was refused: {error}")
            return
        self._published = status
        self._log.info("status", **status.to_kubernetes())

    def _holds(self, status: PredictorStatus, known: PredictorStatus) -> bool:
        """Whether it differs in numbers only, and may wait for more to be said with it: results come in swarms."""
        words = ("reason", "message", "exhausted", "no_better_than_chance")
        if self._is_near_its_end or any(getattr(status, word) != getattr(known, word) for word in words):
            return False
        if self._held_since is None:
            self._held_since = self._clock()
        left = self._held_since + self._settings.publish_seconds - self._clock()
        if left > 0:
            self._look_again(left)
        return left > 0

    async def _refuse(self, search: SearchObject, why: str) -> None:
        """Says that there is no search to be made of the spec; another image may have one."""
        self._say("refused", why)
        reason = constants.REASON_CUSTOM_SPACE_INVALID
        known = self._published or search.predictor
        await self._write(search, known.model_copy(update={"reason": reason, "message": why[:MAX_MESSAGE]}))

    # --- observing ---

    def _read_search(self) -> SearchObject | None:
        raw = self._cluster.search()
        if raw is None:
            self._say("idle", "the search is not there; waiting to be deleted")
            return None
        if raw["metadata"]["uid"] != self._settings.search_uid:
            self._say("idle", "the search was made anew under another UID; waiting to be deleted")
            return None
        try:
            search = read_search(raw)
        except InputError as error:
            self._say("idle", f"the search cannot be read by this release of the predictor: {error}")
            return None
        if search.is_going:
            self._say("idle", "the search is being deleted")
            return None
        self._say("idle", "")
        return search

    def _read_trials(self, search: SearchObject) -> list[TrialObject]:
        """Our trials by index. One that our search does not control is nobody's data, whatever its label says."""
        trials: dict[int, TrialObject] = {}
        for raw in self._cluster.trials():
            try:
                trial = self._parsed(raw)
            except InputError as error:
                self._say(f"unreadable {raw['metadata']['name']}", str(error))
                continue
            if self._is_ours(trial, search):
                trials[trial.spec.index] = trial
        return [trials[index] for index in sorted(trials)]

    def _parsed(self, raw: Raw) -> TrialObject:
        """The trial; parsed once for every version of it, for a round comes with every change of any."""
        name, version = raw["metadata"]["name"], raw["metadata"].get("resourceVersion", "")
        known = self._versions.get(name)
        if known is None or not version or known[0] != version:
            known = self._versions[name] = (version, read_trial(raw))
        return known[1]

    @staticmethod
    def _is_ours(trial: TrialObject, search: SearchObject) -> bool:
        return (
            trial.controller_uid == search.uid
            and trial.search_uid_label == search.uid
            and trial.name == trial_name(search.name, trial.spec.index)
            and trial.spec.architecture.space == search.spec.space
        )

    async def _warm_start(self, search: SearchObject) -> str:
        """Reads the results to begin with, once; why they cannot be had, if so."""
        start = search.spec.warm_start_from
        if start is None or self._known is not None:
            return ""
        try:
            raw, raw_trials = await self._cluster.read_other(start.search)
            self._known = known_results(search, read_search(raw), _readable(raw_trials))
        except NotFoundError:
            why = f"spec.warmStartFrom.search: there is no NASSearch {start.search} in this namespace"
        except (InputError, ClusterError) as error:
            why = str(error)
        else:
            self._log.info("warm start", search=start.search, results=len(self._known))
            return ""
        self._say("warm start", why)
        self._look_again(self._settings.conflict_seconds)
        return why

    def _world(self, search: SearchObject, trials: list[TrialObject], why_not: str) -> World:
        refused = self._refused(trials)
        self._reason = constants.REASON_PROPOSALS_REFUSED if refused else ""
        self._message = refused
        if why_not and not refused:
            # What was proposed from the results goes on without them where the other search has been deleted since.
            self._reason = "" if trials else constants.REASON_WARM_START_UNUSABLE
            self._message = why_not[:MAX_MESSAGE]
        spec = search.spec
        offered = sum(trial.status.phase != "Cancelled" or _given_up(trial) for trial in trials)
        self._is_near_its_end = offered >= spec.budget.trials
        return World(
            asked=self._asked(search.spec),
            trials=tuple(record(trial, spec.seed) for trial in trials),
            budget_trials=spec.budget.trials - sum(map(_given_up, trials)),
            parallelism=spec.parallelism,
            surplus=surplus(spec.parallelism),
            # A search that has ended cancels what is offered, so offers would never end.
            is_open=search.phase not in CLOSED and not self._reason,
            batch_size=(spec.batch_size or BATCH_SIZE) if spec.mode == "batch" else None,
            retries=tuple(record(trial, spec.seed) for trial in self._retries(trials)),
        )

    def _asked(self, spec: NASSearchSpec) -> Asked:
        """What to search; the space is made once, for what is asked of it cannot change."""
        settings = SpaceSettings.of(spec)
        if self._space is None or self._space[0] != settings:
            self._space = settings, settings.make()
        return Asked(self._space[1], spec.strategy, spec.seed, spec.trial.repeats, known=self._known or ())

    @staticmethod
    def _retries(trials: list[TrialObject]) -> list[TrialObject]:
        """Failed trials that a person wants tried again, and that have not been offered again."""
        offered = {trial.spec.origin.parent for trial in trials if trial.spec.origin.method == "retry"}
        return [trial for trial in trials if trial.is_retried and trial.spec.index not in offered]

    @staticmethod
    def _refused(trials: list[TrialObject]) -> str:
        last = [trial for trial in trials if trial.status.phase in TERMINAL_PHASES][-REFUSALS:]
        if len(last) < REFUSALS or not all(
            t.status.phase == "Cancelled" and t.status.reason in OUR_FAULT for t in last
        ):
            return ""
        return (
            f"the operator refused the last {REFUSALS} trials, {last[-1].name} as {last[-1].status.reason}: "
            "predictor and operator disagree, are they of the same release?"
        )

    # --- offering ---

    async def _create(self, search: SearchObject, proposal: Proposal) -> bool:
        """Whether the proposal is a trial now."""
        spec = trial_spec(search, proposal)
        name = trial_name(search.name, proposal.index)
        try:
            await self._cluster.create_trial(write_trial(search, spec))
        except AlreadyExistsError:
            return await self._adopt(search, name, spec)
        self._metrics.proposed(proposal.origin.method)
        self._log.info(
            "proposed", trial=name, architecture=proposal.architecture.to_text(), **proposal.origin.to_kubernetes()
        )
        return True

    async def _adopt(self, search: SearchObject, name: str, spec: NASTrialSpec) -> bool:
        """Whether the object that bears our name is the very trial that we were about to create.

        It is after a crash between the create and the sight of it. Another trial of our search there was made by an earlier
        life of this pod that knew less: it counts, and the round is begun anew with it. Anything else is waited for.
        """
        try:
            trial = read_trial(await self._cluster.read_trial(name))
        except NotFoundError:
            self._look_again(0)  # gone since
            return False
        except InputError as error:
            return self._conflict(name, f"cannot be read: {error}")
        if trial.is_going:
            return self._conflict(name, "is being deleted")
        if not self._is_ours(trial, search):
            return self._conflict(name, "is not this search's: delete it, or wait until it is gone")
        self._log.info("found", trial=name, same=trial.spec == spec)
        if trial.spec != spec:
            self._look_again(0)
            return False
        return True

    def _conflict(self, name: str, why: str) -> bool:
        self._reason = constants.REASON_NAME_CONFLICT
        self._message = f"NASTrial {name}, the next to be proposed, {why}"[:MAX_MESSAGE]
        self._say("conflict", self._message)
        self._look_again(self._settings.conflict_seconds)
        return False

    def _retry(self, why: str) -> None:
        self._message = why[:MAX_MESSAGE]
        self._log.warning("retry", why=why, seconds=self._pause)
        self._look_again(self._pause)
        self._pause = min(2 * self._pause, self._settings.longest_retry_seconds)

    def _look_again(self, seconds: float) -> None:
        self._wake_at = min(self._clock() + seconds, self._wake_at or float("inf"))

    def _rest(self) -> float | None:
        return None if self._wake_at is None else max(0.0, self._wake_at - self._clock())

    # --- telling ---

    def _status(self, search: Search, known: PredictorStatus) -> PredictorStatus:
        """What to say now; of what this process has not done itself, what was said before."""
        score = score_forecasts(search.records)
        exhausted = known.exhausted if search.exhausted is None else search.exhausted and _all_taken_up(search)
        return PredictorStatus(
            results_seen=search.fit.results if search.fit else known.results_seen,
            fit_seconds=round(search.fit.seconds, 3) if search.fit else known.fit_seconds,
            forecasts=score.forecasts,
            rank_correlation=_rounded(score.rank_correlation),
            mean_absolute_error=_rounded(score.mean_absolute_error),
            reason=self._reason,
            message=self._message or (search.why_exhausted[:MAX_MESSAGE] if exhausted else ""),
            exhausted=exhausted,
            no_better_than_chance=search.no_better_than_chance,
        )

    def _say(self, topic: str, what: str) -> None:
        """Logs what is new only: a round comes with every change of a trial."""
        if what and self._logged.get(topic) != what:
            self._log.warning(topic, why=what)
        self._logged[topic] = what


def _readable(raw_trials: Iterable[Raw]) -> list[TrialObject]:
    """Trials of another search; one that cannot be read has no result for us."""
    readable = []
    for raw in raw_trials:
        try:
            readable.append(read_trial(raw))
        except InputError:
            continue
    return readable


def _given_up(trial: TrialObject) -> bool:
    """Whether it was cancelled after it had been admitted: then it has used its part of the budget."""
    return trial.status.phase == "Cancelled" and trial.status.admission_time is not None


def record(trial: TrialObject, seed: int) -> TrialRecord:
    """What a trial of the search with this seed says."""
    status = trial.status
    # A success without an accuracy is the operator's defect, and no reason for the search to end: it teaches nothing.
    is_empty = status.phase == "Succeeded" and status.validation_accuracy is None
    return TrialRecord(
        index=trial.spec.index,
        architecture=trial.spec.architecture,
        phase="Failed" if is_empty else status.phase,
        validation_accuracy=status.validation_accuracy,
        origin=trial.spec.origin,
        repeat=(trial.spec.seed - seed) % SEEDS,
    )


def _all_taken_up(search: Search) -> bool:
    """Whether the operator has dealt with every trial: else it may hear of the end before it hears of the last trial."""
    return all(record.phase != "Pending" for record in search.records)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)  # more digits are noise, and a reader's nuisance
