"""The published DARTS genotypes by name, and architectures of any space from texts and files.

Called by the `bananas-trainer` command and by tests; a trial's architecture comes in its trial file instead.
"""

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture, Space, parse_architecture
from bananas_core.spaces.darts import DartsArchitecture

# Edges in the published order: the state_dicts number their operations by it.
NAMED: Final = {
    # arXiv 1806.09055, first order
    "DARTS_V1": DartsArchitecture.parse(
        "normal=sep_conv_3x3~1|sep_conv_3x3~0+skip_connect~0|sep_conv_3x3~1"
        "+skip_connect~0|sep_conv_3x3~1+sep_conv_3x3~0|skip_connect~2 "
        "reduce=max_pool_3x3~0|max_pool_3x3~1+skip_connect~2|max_pool_3x3~0"
        "+max_pool_3x3~0|skip_connect~2+skip_connect~2|avg_pool_3x3~0"
    ),
    # arXiv 1806.09055, second order
    "DARTS_V2": DartsArchitecture.parse(
        "normal=sep_conv_3x3~0|sep_conv_3x3~1+sep_conv_3x3~0|sep_conv_3x3~1"
        "+sep_conv_3x3~1|skip_connect~0+skip_connect~0|dil_conv_3x3~2 "
        "reduce=max_pool_3x3~0|max_pool_3x3~1+skip_connect~2|max_pool_3x3~1"
        "+max_pool_3x3~0|skip_connect~2+skip_connect~2|max_pool_3x3~1"
    ),
    # arXiv 1910.11858, the best cell of the search
    "BANANAS": DartsArchitecture.parse(
        "normal=sep_conv_3x3~1|skip_connect~0+sep_conv_5x5~2|sep_conv_5x5~0"
        "+skip_connect~0|sep_conv_5x5~2+sep_conv_3x3~0|skip_connect~2 "
        "reduce=sep_conv_3x3~1|max_pool_3x3~0+max_pool_3x3~0|none~1"
        "+dil_conv_3x3~2|sep_conv_5x5~3+sep_conv_5x5~4|sep_conv_3x3~1"
    ),
}


def find_architecture(name_or_file: str) -> Architecture:
    """The genotype of that name, the architecture that is written there, or the one in that file.

    Texts are those of the spaces (`normal=... reduce=...`, `|op~0|+...`, `adjacency:ops`); a file may hold one, or JSON: a
    DARTS cell (`{"normal": [...], "reduce": [...]}`) or the object that travels (`{"space": ...}`).

    Raises:
        ArchitectureError: naming the genotype or file, and what is wrong in it.
    """
    if name_or_file in NAMED:
        return Architecture.of(NAMED[name_or_file])
    path = Path(name_or_file)
    if _space_of(name_or_file) is not None and not path.is_file():
        return _told_of("genotype", name_or_file)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ArchitectureError(
            f"genotype {name_or_file!r}: neither one of {', '.join(NAMED)} nor a readable file ({error})"
        ) from error
    return _told_of(f"genotype file {path}", text)


def _told_of(source: str, text: str) -> Architecture:
    try:
        return _parse(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ArchitectureError(": ".join(part for part in (source, field, message) if part)) from error
    except ArchitectureError as error:
        raise ArchitectureError(f"{source}: {error}") from error


def _parse(text: str) -> Architecture:
    if text.startswith("{"):
        if '"space"' in text:
            architecture = Architecture.model_validate_json(text)
            return Architecture.of(architecture.published)
        return Architecture.of(DartsArchitecture.model_validate_json(text))
    return parse_architecture(_space_of(text) or "darts", text)


def _space_of(text: str) -> Space | None:
    """The space whose one-line form this looks like."""
    if text.startswith("|"):
        return "nasbench201"
    if re.fullmatch(r"[01]+:[0-9]*", text):
        return "nasbench101"
    return "darts" if text.startswith(("normal=", "reduce=")) else None
