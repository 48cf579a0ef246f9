"""What a GGUF file's header says of its model: no tensor is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of scalars
MAX_KEY = 2**16  # bytes, by the format
_UINT32, _STRING, _ARRAY = 4, 8, 9


def quantisation(path: Path) -> str | None:
    """llama.cpp's name for most of its tensors, such as 'Q4_K_M'; None where the file says none."""
    from gguf import LlamaFileType

    code = _number(path, "general.file_type")
    known = {int(one): one.name for one in LlamaFileType}
    name = None if code is None else known.get(code)
    return None if name is None else name.removeprefix("MOSTLY_").removeprefix("ALL_")


def hidden_size(path: Path) -> int | None:
    """Width of the residual stream; None where the file does not say it."""
    return _number(path, ".embedding_length")  # after the name of the architecture


def _number(path: Path, ending: str) -> int | None:
    """The first uint32 whose key ends so; None without one and in a file that is cut short."""
    try:
        with path.open("rb") as file:
            file.seek(8)  # magic and version
            _, n_pairs = struct.unpack("<QQ", file.read(16))
            for _ in range(n_pairs):
                key = file.read(min(_length(file), MAX_KEY))
                (kind,) = struct.unpack("<I", file.read(4))
                if kind == _UINT32 and key.endswith(ending.encode()):
                    return int(struct.unpack("<I", file.read(4))[0])
                _skip(file, kind)
    except (struct.error, ValueError, OverflowError, OSError):
        return None
    return None


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _ARRAY:
        (kind,) = struct.unpack("<I", file.read(4))
        count = _length(file)
        if kind in _SIZES:
            file.seek(count * _SIZES[kind], 1)
            return
        for _ in range(count):
            _skip(file, kind)
    elif kind == _STRING:
        file.seek(_length(file), 1)
    elif kind in _SIZES:
        file.seek(_SIZES[kind], 1)
    else:
        raise ValueError(f"value type {kind} is unknown")


def _length(file: BinaryIO) -> int:
    return int(struct.unpack("<Q", file.read(8))[0])
