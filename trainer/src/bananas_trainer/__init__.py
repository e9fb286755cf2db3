"""Trains one architecture and reports its accuracy.

Two programs: `python -m bananas_trainer.pod` in the container of a trial, and `bananas-trainer` for a person. Data enters at
the trial file (`pod.py`, `command.py`) and at the data files (`data.py`); the result leaves as a `Report`.
"""
