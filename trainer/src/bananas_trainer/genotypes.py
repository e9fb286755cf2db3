"""The published DARTS genotypes by name, and genotypes from files.

Called by the `bananas-trainer` command and by tests; a trial's architecture comes in its trial file instead.
"""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bananas_core.errors import ArchitectureError
from bananas_core.spaces import Architecture
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


def find_genotype(name_or_file: str) -> DartsArchitecture:
    """The genotype of that name, or the one in that file: the one-line text, or JSON of a DARTS architecture.

    JSON may be the cell itself (`{"normal": [...], "reduce": [...]}`) or the object that travels (`{"space": "darts", ...}`).

    Raises:
        ArchitectureError: naming the genotype or file, and what is wrong in it.
    """
    if name_or_file in NAMED:
        return NAMED[name_or_file]
    path = Path(name_or_file)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ArchitectureError(
            f"genotype {name_or_file!r}: neither one of {', '.join(NAMED)} nor a readable file ({error})"
        ) from error
    try:
        return _parse(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise ArchitectureError(f"genotype file {path}: {field}: {first['msg']}") from error
    except ArchitectureError as error:
        raise ArchitectureError(f"genotype file {path}: {error}") from error


def _parse(text: str) -> DartsArchitecture:
    if not text.startswith("{"):
        return DartsArchitecture.parse(text)
    if '"space"' not in text:
        return DartsArchitecture.model_validate_json(text)
    cell = Architecture.model_validate_json(text).cell
    if not isinstance(cell, DartsArchitecture):
        raise ArchitectureError("space: this command takes architectures of space darts")
    return cell
