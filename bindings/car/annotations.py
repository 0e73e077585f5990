# SPDX-License-Identifier: Apache-2.0
"""OccludeNet's annotations as CSV files.

    >>> from car import annotations
    >>> clips = annotations.read("examples/csv/annotations.csv")  # doctest: +SKIP
    >>> clips[0].duration_ratio  # doctest: +SKIP
    0.859...

Source: OccludeNet, Figure 13 and appendix D.
"""
from __future__ import annotations

import csv
import dataclasses
import math
import os
from typing import Iterable, Optional, Sequence, Union

__all__ = ["Annotation", "COLUMNS", "read", "write"]

_Path = Union[str, "os.PathLike[str]"]

#: The columns of each subset, as its files have them: dynamic (-D), static (-S), interactive and multi-view (-I, -M).
COLUMNS: dict[str, tuple[str, ...]] = {
    "dynamic": ("action class", "file name", "occluder type", "occluder file name", "occluder pixel ratio", "occluder size ratio",
                "occlusion duration", "video duration", "fps", "clip generation time"),
    "static": ("action class", "file name", "fps", "video duration"),
    "interactive": ("action class", "file name"),
}


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One clip. What its subset does not have is None.

    Durations and the generation time are in seconds, fps in frames per second, the pixel ratio in per cent; the size ratio is the degree
    of occlusion, of the actor's box.
    """

    action_class: str
    file_name: str
    occluder_type: Optional[str] = None
    occluder_file_name: Optional[str] = None
    occluder_pixel_ratio: Optional[float] = None
    occluder_size_ratio: Optional[float] = None
    occlusion_duration: Optional[float] = None
    video_duration: Optional[float] = None
    fps: Optional[float] = None
    clip_generation_time: Optional[float] = None

    @property
    def duration_ratio(self) -> float:
        """How long of the video the actor is occluded: 0 to 1. Only of the dynamic subset, else ValueError."""
        if self.occlusion_duration is None or self.video_duration is None:
            raise ValueError("duration_ratio: the clip has no occlusion duration")
        return self.occlusion_duration / self.video_duration


#: The least and the largest value of each column of numbers.
_RANGES = {
    "occluder pixel ratio": (0, 100),
    "occluder size ratio": (1e-3, 1),
    "occlusion duration": (0, math.inf),
    "video duration": (1e-3, math.inf),
    "fps": (1e-3, 1000),
    "clip generation time": (0, math.inf),
}


def _field(column: str) -> str:
    return column.replace(" ", "_")


def _number(where: str, column: str, text: str) -> float:
    least, most = _RANGES[column]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        bound = f" to {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{where}: '{column}' is '{text}', expected a number from {least:g}{bound}")
    return value


def _text(where: str, column: str, text: str) -> str:
    if not text:
        raise ValueError(f"{where}: '{column}' is empty")
    return text


def _columns_of(path: _Path, header: Sequence[str]) -> tuple[str, ...]:
    for columns in COLUMNS.values():
        if len(columns) == len(header):
            for column in columns:
                if column not in header:
                    raise ValueError(f"{os.fspath(path)}: has no column '{column}'")
            return columns
    raise ValueError(f"{os.fspath(path)}: has {len(header)} columns, expected 10 (-D), 4 (-S) or 2 (-I, -M)")


def read(path: _Path) -> list[Annotation]:
    """The clips of a file of any subset: its columns, in any order, say which. A first column without a name, of row numbers, is skipped.

    Raises ValueError that names the file, the line, the column and the value, for a row that is no annotation; OSError, if the file cannot
    be read.
    """
    clips = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = next(lines, [])
            if not header:
                raise ValueError(f"{os.fspath(path)}: is empty")
            skipped = 1 if header[0] == "" else 0
            columns = _columns_of(path, header[skipped:])
            for fields in lines:
                where = f"{os.fspath(path)}:{lines.line_num}"
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise ValueError(f"{where}: has {len(fields)} fields, expected {len(header)} as in the first row")
                values = dict(zip(header, fields))
                clip = Annotation(**{
                    _field(column): (_number if column in _RANGES else _text)(where, column, values[column])  # type: ignore[arg-type]
                    for column in columns
                })
                longest = (clip.video_duration or 0) + 0.01  # both are rounded to 0.01
                if clip.occlusion_duration is not None and clip.occlusion_duration > longest:
                    raise ValueError(f"{where}: 'occlusion duration' is '{values['occlusion duration']}', expected a number from 0 to {longest:g}")
                clips.append(clip)
        except csv.Error as error:
            raise ValueError(f"{os.fspath(path)}:{lines.line_num}: {error}") from error
    return clips


def write(path: _Path, clips: Iterable[Annotation], subset: str = "dynamic") -> None:
    """Writes clips as a file of a subset, which `read` gives back: every number in the fewest digits that do.

    Raises ValueError before anything is written, if the subset is none of `COLUMNS` or a clip lacks one of its columns.
    """
    if subset not in COLUMNS:
        raise ValueError(f"subset is '{subset}', expected one of {', '.join(COLUMNS)}")
    rows = []
    for index, clip in enumerate(clips):
        values = [getattr(clip, _field(column)) for column in COLUMNS[subset]]
        if None in values:
            raise ValueError(f"clips at {index} has no '{COLUMNS[subset][values.index(None)]}', expected all columns of '{subset}'")
        rows.append(values)
    with open(path, "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS[subset])
        lines.writerows(rows)
