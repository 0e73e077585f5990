# SPDX-License-Identifier: Apache-2.0
"""OccludeNet's annotations: what is read is what is written, and a bad row is refused with its line, its column and its value."""
import pathlib

import pytest
from car import annotations

FILE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "csv" / "annotations.csv"


def test_round_trip(tmp_path):
    clips = annotations.read(FILE)
    assert len(clips) == len(FILE.read_text().splitlines()) - 1
    assert clips[0].occluder_size_ratio == 0.25 and clips[0].duration_ratio == 8.62 / 10.03
    for subset in annotations.COLUMNS:
        copy = tmp_path / f"{subset}.csv"
        annotations.write(copy, clips, subset)
        back = annotations.read(copy)
        assert [clip.file_name for clip in back] == [clip.file_name for clip in clips]
        assert subset != "dynamic" or back == clips


@pytest.mark.parametrize("line, old, new, message", [
    (3, "10.03", "soon", "bad.csv:3: 'video duration' is 'soon', expected a number from 0.001"),
    (3, "10.03", "nan", "bad.csv:3: 'video duration' is 'nan', expected a number from 0.001"),
    (4, "08.62", "18.62", "bad.csv:4: 'occlusion duration' is '18.62', expected a number from 0 to 10.04"),
    (5, ",0.25,", ",25,", "bad.csv:5: 'occluder size ratio' is '25', expected a number from 0.001 to 1"),
    (7, "handbag", "", "bad.csv:7: 'occluder type' is empty"),
    (8, ",29.97", "", "bad.csv:8: has 9 fields, expected 10 as in the first row"),
    (9, "abseiling", '"abseiling', "bad.csv:"),
    (9, "abseiling", '"ab"seiling', "bad.csv:9: "),
    (1, "fps", "frames", "bad.csv: has no column 'fps'"),
])
def test_bad_rows(tmp_path, line, old, new, message):
    lines = FILE.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError) as refused:
        annotations.read(bad)
    assert message in str(refused.value)


def test_other_files(tmp_path):
    file = tmp_path / "some.csv"
    file.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        annotations.read(file)
    file.write_text("a,b,c\n")
    with pytest.raises(ValueError, match="has 3 columns, expected 10"):
        annotations.read(file)
    with pytest.raises(OSError):
        annotations.read(tmp_path / "none.csv")
    file.write_bytes(b',action class,file name,fps,video duration\r\n1,"steal, run",a.mp4,25,9.5\r\n')  # row numbers, quotes, line ends
    clip = annotations.read(file)[0]
    assert (clip.action_class, clip.fps, clip.occluder_type) == ("steal, run", 25, None)
    with pytest.raises(ValueError, match="no occlusion duration"):
        clip.duration_ratio
    before = file.read_bytes()
    with pytest.raises(ValueError, match="clips at 0 has no 'occluder type'"):
        annotations.write(file, [clip])
    with pytest.raises(ValueError, match="subset is 'other'"):
        annotations.write(file, [clip], "other")
    assert file.read_bytes() == before
