"""What the process remembers of a search between passes. Losing all of it loses nothing: it is found anew.

`apply` and `http` write it, `observe` reads it.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bananas_core.contract import ProgressMessage
from bananas_operator.resources import TRIAL_STATUS
from bananas_operator.settings import Settings
from bananas_operator.views import Facts, Finding, Problem, ProgressView

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class CheckedFacts:
    """What was asked about, and the answer."""

    question: str
    facts: Facts


@dataclass(frozen=True)
class Told:
    """What a trainer said last, and when it said so first."""

    message: ProgressMessage
    at: datetime


@dataclass
class SearchMemory:
    """Of one search."""

    findings: dict[tuple[str, str], Finding] = field(default_factory=dict)
    facts: CheckedFacts | None = None
    predictor_checked_at: datetime | None = None
    predictor_mended_at: datetime | None = None
    predictor_rewritten: tuple[str, str] | None = None
    """The image that was sent last and the one that was kept in its place, where a webhook rewrites images."""
    winner_checked_at: datetime | None = None
    status_held_since: datetime | None = None
    """Since when numbers of the search's status wait to be written."""
    first_pass: datetime | None = None
    progress: dict[str, Told] = field(default_factory=dict)
    progress_written: dict[str, datetime] = field(default_factory=dict)

    def refused(self, kind: str, name: str, problem: Problem, now: datetime, settings: Settings) -> None:
        """Notes that an object could not be made; to be tried again, ever more seldom."""
        known = self.findings.get((kind, name))
        count = known.count + 1 if known is not None else 1
        wait = min(settings.recheck_limit_seconds, settings.recheck_seconds * 2.0 ** min(count - 1, 10))
        self.findings[kind, name] = Finding(kind, name, problem, now + timedelta(seconds=wait), count)

    def made(self, kind: str, name: str) -> None:
        """Notes that an object is there."""
        self.findings.pop((kind, name), None)

    def ask_again(self) -> None:
        """Makes everything that was refused due at once: the spec has changed."""
        self.findings = {key: replace(found, retry_at=LONG_AGO) for key, found in self.findings.items()}

    def progress_views(self, settings: Settings) -> tuple[tuple[str, ProgressView], ...]:
        """Progress by trial UID."""
        pause = timedelta(seconds=settings.progress_seconds)
        return tuple(
            (uid, ProgressView(told.message, self.progress_written.get(uid, LONG_AGO) + pause, told.at))
            for uid, told in self.progress.items()
        )

    def hear(self, message: ProgressMessage, now: datetime) -> None:
        """Notes what a trainer says; the same again is no progress."""
        known = self.progress.get(message.trial_uid)
        if known is None or known.message != message:
            self.progress[message.trial_uid] = Told(message, now)

    def since(self, now: datetime) -> datetime:
        """Time of the first pass; called by each."""
        self.first_pass = self.first_pass or now
        return self.first_pass

    def forget_trials(self, living: set[str], named: set[str]) -> None:
        """Drops the progress of trials that have ended or are gone, and what was found of those that are gone."""
        for kind, name in [key for key in self.findings if key[0] == TRIAL_STATUS and key[1] not in named]:
            del self.findings[kind, name]
        for uid in {*self.progress, *self.progress_written} - living:
            self.progress.pop(uid, None)
            self.progress_written.pop(uid, None)


class Memory:
    """Of all searches, by UID."""

    def __init__(self) -> None:
        self._searches: dict[str, SearchMemory] = {}

    def of(self, search_uid: str) -> SearchMemory:
        """What is remembered of a search."""
        return self._searches.setdefault(search_uid, SearchMemory())

    def forget(self, living: set[str]) -> None:
        """Drops searches that are gone."""
        for uid in set(self._searches) - living:
            del self._searches[uid]
