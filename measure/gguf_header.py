"""How a GGUF file is quantised, by what its header says: no tensor and no token is read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

FILE_TYPE = "general.file_type"  # among the first keys, before the token lists
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of scalars
_UINT32, _STRING, _ARRAY = 4, 8, 9


def quantisation(path: Path) -> str | None:
    """llama.cpp's name for most of its tensors, such as 'Q4_K_M'; None where the file says none."""
    from gguf import LlamaFileType

    try:
        with path.open("rb") as file:
            code = _file_type(file)
        return None if code is None else LlamaFileType(code).name.split("_", 1)[1]
    except (struct.error, ValueError):  # cut short, or a type that is newer than the library
        return None


def _file_type(file: BinaryIO) -> int | None:
    file.seek(8)  # magic and version
    _, n_pairs = struct.unpack("<QQ", file.read(16))
    for _ in range(n_pairs):
        key = file.read(_length(file))
        (kind,) = struct.unpack("<I", file.read(4))
        if key == FILE_TYPE.encode() and kind == _UINT32:
            return int(struct.unpack("<I", file.read(4))[0])
        _skip(file, kind)
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
