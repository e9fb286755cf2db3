"""Checkpoints: the state after a step, from which a later attempt goes on bit for bit (on the CPU).

    checkpoint-00007.safetensors          the state after 7 epochs: weights (`network.*`), momentum (`momentum.*`) and, as
                                          metadata, the history of the epochs and a checksum
    checkpoint-00007-000123.safetensors   the same after 123 steps of the next one, with the state of its random numbers and
                                          its loss so far (`part.*`); written on SIGTERM, and now and then
    epochs.jsonl                          one line for each trained epoch: which attempts trained how many of its steps
    curve.csv, curve.svg                  loss, accuracy, learning rate and images per second of every epoch
    weights.safetensors                   the trained network, under the names of its state_dict

Two checkpoints are kept. Nothing is ever unpickled. The fence, `report.json` and how a file is written are
`bananas_core.attempt`'s.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bananas_core.attempt import Attempt, remove_left_over, write_atomically
from bananas_core.model import Model
from bananas_trainer.curve import write_curve
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.errors import CheckpointUnusable
from bananas_trainer.log import notice, warn
from bananas_trainer.networks.building import Network
from bananas_trainer.published import WEIGHTS_FILE
from bananas_trainer.training import Part, State

EPOCH_LOG: Final = "epochs.jsonl"
_KEPT: Final = 2
_CURVE_SECONDS: Final = 30.0
_NAME: Final = re.compile(r"checkpoint-(\d{5})(?:-(\d{6}))?\.safetensors")
_METADATA_KEY: Final = "state"


class _Part(Model):
    """How far the current epoch is."""

    steps: int
    images: int
    seconds: float
    attempts: tuple[tuple[int, int], ...] = ()
    """None where an older trainer began the epoch."""


class _Header(Model):
    """What a checkpoint says beside its tensors."""

    version: Literal[1] = 1
    trial_uid: str
    history: tuple[EpochRecord, ...]
    part: _Part | None = None
    pieces: int = 1
    checksum: str


class Checkpoints:
    """The checkpoints of a trial in the hands of one attempt.

    Every method raises CheckpointUnusable where the directory cannot be used, and AttemptError (FENCED) where a higher
    attempt has started.
    """

    def __init__(self, attempt: Attempt, folder: Path, every_seconds: float) -> None:
        self._attempt = attempt
        self._folder = folder
        self._every_seconds = every_seconds
        self._saved_at = self._curve_at = time.monotonic()
        self.unsaved = False
        """Whether there are steps that no checkpoint has."""

    def between_steps(self, state: State) -> None:
        """Keeps the state in the middle of an epoch where it is time, and ends the attempt after SIGTERM.

        Raises:
            Interrupted
        """
        self.unsaved = True
        if self._attempt.stopping or time.monotonic() - self._saved_at >= self._every_seconds:
            self._write(state)
        self._attempt.check_stop()

    def save(self, state: State) -> None:
        """Keeps the state after an epoch, then logs the epoch."""
        self._write(state)
        with self._writing():
            _append_to_log(self._folder, state.history[-1], self._attempt.check_fence)
            if time.monotonic() - self._curve_at >= _CURVE_SECONDS:
                write_curve(self._folder, state.history, self._attempt.check_fence)
                self._curve_at = time.monotonic()

    def _write(self, state: State) -> None:
        tensors, part = _tensors_of(state), state.part
        header = _Header(
            trial_uid=self._uid,
            history=tuple(state.history),
            part=_part_of(part, self._attempt.trial.attempt) if part is not None else None,
            pieces=state.pieces,
            checksum=_checksum(tensors),
        )
        content = to_safetensors(tensors, metadata={_METADATA_KEY: header.model_dump_json(by_alias=True)})
        steps = f"-{part.steps:06}" if part is not None else ""
        with self._writing():
            path = self._folder / f"checkpoint-{state.epoch:05}{steps}.safetensors"
            write_atomically(path, content, self._attempt.check_fence)
            for old in _checkpoints(self._folder)[:-_KEPT]:
                old.unlink(missing_ok=True)
        self.unsaved, self._saved_at = False, time.monotonic()

    def restore(self, state: State) -> None:
        """Brings a fresh state to the newest checkpoint that can be read; a corrupt one is passed over with a warning."""
        with self._writing():
            remove_left_over(self._folder)
            for path in reversed(_checkpoints(self._folder)):
                try:
                    header, tensors = _read(path)
                except (SafetensorError, ValidationError, ValueError) as error:
                    reason = str(error).partition("\n")[0]
                    warn(f"{path}: corrupt checkpoint passed over ({reason})")
                    continue
                if header.trial_uid != self._uid:
                    raise CheckpointUnusable(
                        f"{path}: belongs to trial {header.trial_uid}, not to {self._uid}; want a directory of its own"
                    )
                _put(state, header, tensors)
                if state.history:
                    _mend_log(self._folder, state.history[-1], self._attempt.check_fence)
                steps = {"steps": state.part.steps} if state.part is not None else {}
                notice("resumed", epoch=state.epoch, checkpoint=path.name, **steps)
                return

    def write_weights(self, network: Network, metadata: dict[str, str]) -> None:
        """Writes the trained network."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
        with self._writing():
            content = to_safetensors(weights, metadata=metadata)
            write_atomically(self._folder / WEIGHTS_FILE, content, self._attempt.check_fence)

    def write_curve(self, history: Sequence[EpochRecord]) -> None:
        """Writes the curve of a whole training."""
        with self._writing():
            write_curve(self._folder, history, self._attempt.check_fence)

    def drop(self) -> None:
        """Removes what only a resumed attempt would need, once the report is there."""
        with self._writing():
            for path in _checkpoints(self._folder):
                path.unlink(missing_ok=True)

    @property
    def _uid(self) -> str:
        return self._attempt.trial.trial_uid

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._attempt.check_fence()
        try:
            yield
        except OSError as error:
            self._attempt.check_fence()  # a higher attempt tidies up, also what this one was writing
            raise CheckpointUnusable(
                f"{error.filename or self._folder}: {error.strerror}; the checkpoint directory {self._folder} must be a "
                f"directory that this user (uid {os.getuid()}) may write to, with space left"
            ) from error


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    found = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, _, path in sorted((int(match[1]), int(match[2] or 0), path) for match, path in found)]


def _part_of(part: Part, attempt: int) -> _Part:
    return _Part(steps=part.steps, images=part.images, seconds=part.seconds, attempts=part.attempts(attempt))


def _tensors_of(state: State) -> dict[str, Tensor]:
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"momentum.{name}": tensor for name, tensor in state.optimiser.buffers.items()}
    if state.part is not None:
        tensors |= {"part.loss": state.part.loss, "part.generator": state.part.generator.get_state()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def _put(state: State, header: _Header, tensors: dict[str, Tensor]) -> None:
    prefix = "network."
    state.network.load_state_dict(
        {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    )
    for name, buffer in state.optimiser.buffers.items():
        buffer.copy_(tensors[f"momentum.{name}"])
    state.history[:] = header.history
    state.pieces = header.pieces
    if header.part is not None:
        device = next(state.network.parameters()).device
        generator = torch.Generator(device)
        generator.set_state(tensors["part.generator"])
        loss = tensors["part.loss"].to(device)
        kept = header.part
        earlier = None if kept.steps and not kept.attempts else kept.attempts
        state.part = Part(generator, loss, kept.steps, kept.images, kept.seconds, earlier)


def _read(path: Path) -> tuple[_Header, dict[str, Tensor]]:
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    if _METADATA_KEY not in metadata:
        raise ValueError("no state in its metadata")
    header = _Header.model_validate_json(metadata[_METADATA_KEY])
    if header.checksum != _checksum(tensors):
        raise ValueError("its checksum does not fit its content")
    if not header.history and header.part is None:
        raise ValueError("no epoch in its history")
    return header, tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _append_to_log(folder: Path, record: EpochRecord, may_write: Callable[[], object]) -> None:
    with (folder / EPOCH_LOG).open("ab") as file:
        may_write()  # to open a file on a volume that was lost can take an hour, too
        file.write(_line(record) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _mend_log(folder: Path, last: EpochRecord, may_write: Callable[[], object]) -> None:
    """Adds the last line where its attempt was killed between checkpoint and log; a line torn there is cut off first."""
    path = folder / EPOCH_LOG
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_atomically(path, whole, may_write)
    if last not in map(_record_of, whole.splitlines()):
        _append_to_log(folder, last, may_write)


def _line(record: EpochRecord) -> bytes:
    return record.model_dump_json(by_alias=True).encode()


def _record_of(line: bytes) -> EpochRecord | None:
    """None where a damaged disk made something else of it."""
    try:
        return EpochRecord.model_validate_json(line)
    except ValidationError:
        return None
