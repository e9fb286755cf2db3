"""The operator of Bananas: watches searches, admits trials, runs one Job per attempt and records what came of it.

Data enters through the API server (`cache`, fed by `doorbell` and by lists) and leaves through it (`apply`); between them
everything is pure: `observe` -> `plan`. `reconcile` is the table of contents.
"""
