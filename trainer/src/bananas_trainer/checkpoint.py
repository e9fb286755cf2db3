"""Checkpoints: the state after an epoch, from which a later attempt goes on bit for bit (on the CPU).

One safetensors file an epoch: weights (`network.*`), momentum (`momentum.*`) and, as metadata, the history of the epochs and a
checksum. Random numbers need no state: they follow from the seed and the epoch. Nothing is ever unpickled.
"""

import json
import os
import re
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bananas_core.model import Model
from bananas_trainer.directory import TrialDirectory
from bananas_trainer.epoch import EpochRecord
from bananas_trainer.errors import CheckpointUnusable
from bananas_trainer.log import log
from bananas_trainer.networks.darts import DartsNetwork
from bananas_trainer.training import State

EPOCH_LOG: Final = "epochs.jsonl"
WEIGHTS_FILE: Final = "weights.safetensors"
_KEPT: Final = 2
_NAME: Final = re.compile(r"checkpoint-(\d{5})\.safetensors")
_METADATA_KEY: Final = "state"


class _Header(Model):
    """What a checkpoint says beside its tensors."""

    version: Literal[1] = 1
    trial_uid: str
    history: tuple[EpochRecord, ...]
    checksum: str


def save(directory: TrialDirectory, state: State) -> None:
    """Keeps the state after an epoch, then logs the epoch.

    Raises:
        CheckpointUnusable, Fenced
    """
    tensors = _tensors_of(state)
    header = _Header(trial_uid=directory.trial_uid, history=tuple(state.history), checksum=_checksum(tensors))
    content = to_safetensors(tensors, metadata={_METADATA_KEY: header.model_dump_json(by_alias=True)})
    directory.write(f"checkpoint-{state.epoch:05}.safetensors", content)
    with directory.errors_translated():
        _append_to_log(directory.path, state.history[-1])
        for old in _checkpoints(directory.path)[:-_KEPT]:
            old.unlink(missing_ok=True)


def restore(directory: TrialDirectory, state: State) -> None:
    """Brings a fresh state to the newest checkpoint that can be read; a corrupt one is passed over with a warning.

    Raises:
        CheckpointUnusable: if the checkpoint is another trial's or the directory cannot be read.
    """
    with directory.errors_translated():
        for path in reversed(_checkpoints(directory.path)):
            try:
                header, tensors = _read(path)
            except (SafetensorError, ValidationError, ValueError) as error:
                log("warning", message=f"{path}: corrupt checkpoint passed over ({str(error).partition(chr(10))[0]})")
                continue
            if header.trial_uid != directory.trial_uid:
                raise CheckpointUnusable(
                    f"{path}: belongs to trial {header.trial_uid}, not to {directory.trial_uid}; want a directory of its own"
                )
            _put(state, header, tensors)
            _mend_log(directory, state.history[-1])
            log("resumed", epoch=state.epoch, checkpoint=path.name)
            return


def write_weights(directory: TrialDirectory, network: DartsNetwork, metadata: dict[str, str]) -> None:
    """Writes the trained network, under the names of its state_dict.

    Raises:
        CheckpointUnusable, Fenced
    """
    weights = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    directory.write(WEIGHTS_FILE, to_safetensors(weights, metadata=metadata))


def drop_checkpoints(directory: TrialDirectory) -> None:
    """Removes what only a resumed attempt would need, once the report is there.

    Raises:
        CheckpointUnusable
    """
    with directory.errors_translated():
        for path in _checkpoints(directory.path):
            path.unlink(missing_ok=True)


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _tensors_of(state: State) -> dict[str, Tensor]:
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"momentum.{name}": tensor for name, tensor in state.optimiser.buffers.items()}
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


def _read(path: Path) -> tuple[_Header, dict[str, Tensor]]:
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    if _METADATA_KEY not in metadata:
        raise ValueError("no state in its metadata")
    header = _Header.model_validate_json(metadata[_METADATA_KEY])
    if header.checksum != _checksum(tensors):
        raise ValueError("its checksum does not fit its content")
    if not header.history:
        raise ValueError("no epoch in its history")
    return header, tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    digest = sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _append_to_log(folder: Path, record: EpochRecord) -> None:
    with (folder / EPOCH_LOG).open("ab") as file:
        file.write(_line(record) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _mend_log(directory: TrialDirectory, last: EpochRecord) -> None:
    """Adds the last line where its attempt was killed between checkpoint and log; a line torn there is cut off first."""
    path = directory.path / EPOCH_LOG
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        directory.write(EPOCH_LOG, whole)
    if _line(last) not in whole.splitlines():
        _append_to_log(directory.path, last)


def _line(record: EpochRecord) -> bytes:
    return record.model_dump_json(by_alias=True).encode()
