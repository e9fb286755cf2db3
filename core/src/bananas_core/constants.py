"""Every name that crosses a border, once: API group, labels, annotations, conditions, reasons, metrics.

A name is added here first and used from here everywhere; nothing in this module has behaviour.
"""

from typing import Final

GROUP: Final = "nas.bananas.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

SEARCH_KIND: Final = "NASSearch"
SEARCH_PLURAL: Final = "nassearches"
TRIAL_KIND: Final = "NASTrial"
TRIAL_PLURAL: Final = "nastrials"

# --- labels: what selects ---
LABEL_SEARCH: Final = f"{GROUP}/search"
"""Name of the search, for people: `kubectl get nastrials -l nas.bananas.dev/search=demo`."""
LABEL_SEARCH_UID: Final = f"{GROUP}/search-uid"
"""UID of the search: what the programs select by, so that a search of the same name made anew inherits nothing."""
LABEL_TRIAL: Final = f"{GROUP}/trial"
"""Name of the trial, on its Jobs and pods."""
LABEL_TRIAL_UID: Final = f"{GROUP}/trial-uid"
"""UID of the trial, on its Jobs and pods."""
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
"""Number of the attempt, from 1, on Jobs and pods."""
LABEL_ARCHITECTURE: Final = f"{GROUP}/architecture"
"""Hash of the architecture, on trials: equal for every spelling of the same network."""
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
"""`operator`, `predictor` or `trial`."""
LABEL_NAME: Final = "app.kubernetes.io/name"
APP_NAME: Final = "bananas"

# --- annotations: what informs ---
ANNOTATION_TRIAL_FILE: Final = f"{GROUP}/trial-file"
"""The trial file (contract.TrialFile as JSON) of an attempt, on its pod; the downward API mounts it as a file."""
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""Hash of what the Job or Deployment was made from; another hash means the user changed the template since."""
ANNOTATION_RETRY: Final = f"{GROUP}/retry"
"""On a trial, set by `kubectl nas retry`: the time (RFC 3339, UTC) at which a person asked for another go."""
ANNOTATION_CANCEL: Final = f"{GROUP}/cancel"
"""On a trial, set by `kubectl nas cancel`: the time (RFC 3339, UTC) at which a person gave the trial up."""

# --- condition types of NASSearch, by the Kubernetes conventions ---
CONDITION_READY: Final = "Ready"
"""True while the search can make progress: predictor available, volumes there, template accepted."""
CONDITION_PROGRESSING: Final = "Progressing"
"""True while trials are proposed or in flight."""
CONDITION_COMPLETE: Final = "Complete"
"""True once the budget is used and the last trial has ended. Final while the budget stays."""
CONDITION_FAILED: Final = "Failed"
"""True once the search has been given up (more than `maxFailedTrials` trials failed)."""
CONDITION_STALLED: Final = "Stalled"
"""True while something outside holds the search up; reason and message say what, and what to do."""

# --- reasons of conditions and events of NASSearch ---
REASON_RUNNING: Final = "Running"
REASON_STARTING: Final = "Starting"
REASON_NO_PARALLELISM: Final = "NoParallelism"
REASON_BUDGET_USED: Final = "BudgetUsed"
REASON_TOO_MANY_FAILED_TRIALS: Final = "TooManyFailedTrials"
REASON_SPACE_EXHAUSTED: Final = "SpaceExhausted"
REASON_INVALID_SPEC: Final = "InvalidSpec"
REASON_CLAIM_NOT_FOUND: Final = "ClaimNotFound"
REASON_TEMPLATE_REFUSED: Final = "TemplateRefused"
REASON_NAME_CONFLICT: Final = "NameConflict"
REASON_QUOTA_EXCEEDED: Final = "QuotaExceeded"
REASON_POD_REFUSED: Final = "PodRefused"
REASON_PREDICTOR_UNAVAILABLE: Final = "PredictorUnavailable"
REASON_PREDICTOR_FAILING: Final = "PredictorFailing"
REASON_PROPOSALS_REFUSED: Final = "ProposalsRefused"
REASON_UNSCHEDULABLE: Final = "Unschedulable"
REASON_PROMOTING: Final = "Promoting"
REASON_WARM_START_UNUSABLE: Final = "WarmStartUnusable"
REASON_COMPLETED: Final = "Completed"
REASON_ALL_GOOD: Final = "AsExpected"

# --- reasons of a trial's failure (status.failure.reason) ---
REASON_IMAGE_UNAVAILABLE: Final = "ImageUnavailable"
REASON_DATA_MISSING: Final = "DataMissing"
REASON_DATA_INVALID: Final = "DataInvalid"
REASON_RECIPE_INVALID: Final = "RecipeInvalid"
REASON_CONTRACT_BROKEN: Final = "ContractBroken"
REASON_CHECKPOINT_UNUSABLE: Final = "CheckpointUnusable"
REASON_CONTAINER_CONFIG: Final = "ContainerConfigError"
REASON_DIVERGED: Final = "Diverged"
REASON_OUT_OF_DEVICE_MEMORY: Final = "OutOfDeviceMemory"
REASON_OUT_OF_MEMORY: Final = "OutOfMemory"
REASON_DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
REASON_NO_REPORT: Final = "NoReport"
REASON_PROGRAM_ERROR: Final = "ProgramError"
REASON_INTERRUPTED: Final = "Interrupted"
REASON_HANG: Final = "Hang"
REASON_OUT_OF_SCRATCH: Final = "OutOfScratchSpace"
REASON_VOLUME_UNAVAILABLE: Final = "VolumeUnavailable"

# --- reasons of a trial's cancellation (status.reason) ---
REASON_DUPLICATE_ARCHITECTURE: Final = "DuplicateArchitecture"
REASON_BUDGET_EXHAUSTED: Final = "BudgetExhausted"
REASON_RECIPE_MISMATCH: Final = "RecipeMismatch"
REASON_INVALID_TRIAL: Final = "InvalidTrial"
REASON_SEARCH_FAILED: Final = "SearchFailed"
REASON_WITHDRAWN: Final = "Withdrawn"
REASON_CANCELLED_BY_USER: Final = "CancelledByUser"

# --- reasons of events that are nobody's condition ---
EVENT_TRIAL_FAILED: Final = "TrialFailed"
EVENT_ATTEMPT_FAILED: Final = "AttemptFailed"
EVENT_TRIAL_INTERRUPTED: Final = "TrialInterrupted"
EVENT_NEW_BEST: Final = "NewBest"

# --- field managers: who wrote a field ---
MANAGER_OPERATOR: Final = "bananas-operator"
MANAGER_PREDICTOR: Final = "bananas-predictor"

# --- metrics ---
METRIC_TRIALS: Final = "bananas_search_trials"
METRIC_BUDGET_TRIALS: Final = "bananas_search_budget_trials"
METRIC_PARALLELISM: Final = "bananas_search_parallelism"
METRIC_FREE_SLOTS: Final = "bananas_search_free_slots"
METRIC_BEST_ACCURACY: Final = "bananas_search_best_validation_accuracy"
METRIC_GPU_SECONDS: Final = "bananas_search_gpu_seconds"
METRIC_GPU_SECONDS_WASTED: Final = "bananas_search_gpu_seconds_wasted"
METRIC_INTERRUPTIONS: Final = "bananas_search_interruptions"
METRIC_CONDITION: Final = "bananas_search_condition"
METRIC_RECONCILE_SECONDS: Final = "bananas_operator_reconcile_seconds"
METRIC_RECONCILE_ERRORS: Final = "bananas_operator_reconcile_errors"
METRIC_FIT_SECONDS: Final = "bananas_predictor_fit_seconds"
METRIC_RESULTS_SEEN: Final = "bananas_predictor_results_seen"
METRIC_RANK_CORRELATION: Final = "bananas_predictor_rank_correlation"
METRIC_ABSOLUTE_ERROR: Final = "bananas_predictor_mean_absolute_error"
METRIC_PROPOSALS: Final = "bananas_predictor_proposals"

METRICS_PORT: Final = 8080
"""Port of `/metrics` and `/healthz` in operator and predictor; the operator's also takes progress."""
PROGRESS_PATH: Final = "/v1/progress"
