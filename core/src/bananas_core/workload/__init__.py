"""What a trial is to Kubernetes: the Job of an attempt, and how many of them a cluster can hold. Pure; no client, no clock.

The operator makes such Jobs and tells of such bounds; the plugin shows both before a search is made. That is why they live here.
"""

from typing import Any

Json = dict[str, Any]
"""An object as the API server takes it."""
