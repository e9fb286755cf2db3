"""The `kubectl nas` plugin: looks at searches, and changes nothing.

`command` has the commands; `cluster` is the border to the API server, `snapshot` what comes over it, and all that is shown
(`status`, `trials`, `best`, `report`) is a pure function of a snapshot and a time. Must never import torch or kopf, and must
never show a person a traceback.
"""
