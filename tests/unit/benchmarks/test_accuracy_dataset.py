"""Reading LFW's form."""

from pathlib import Path

import pytest

from benchmarks.accuracy.dataset import DatasetError, load, read_pairs

PAIRS = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nBob\t1\t2\nBob\t2\tCid\t1\n"


def write(folder: Path, *names: str) -> None:
    for name in names:
        photo = folder / name[:-5] / f"{name}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(b"")


@pytest.mark.parametrize("below", ["", "images"])
def test_photos_and_pairs(tmp_path: Path, below: str) -> None:
    write(tmp_path / below, "Bob_0002", "Ann_0001", "Ann_0002", "Bob_0001", "Cid_0001")
    (tmp_path / "pairs.txt").write_text(PAIRS)
    data = load(tmp_path)
    assert data.people == ("Ann", "Bob", "Cid")
    assert list(data.person) == [0, 0, 1, 1, 2]
    assert data.folds == (1, 2)
    assert [(p.first, p.second, p.same, p.fold) for p in data.pairs] == [
        (0, 1, True, 1),
        (0, 2, False, 1),
        (2, 3, True, 2),
        (3, 4, False, 2),
    ]
    assert list(data.first) == [0, 2, 4]
    assert list(data.second) == [1, 3]
    assert load(tmp_path, [2]).folds == (2,)


def test_lfws_own_file_names_its_folds() -> None:
    known = {"Ann_0001": 0, "Ann_0002": 1}
    assert read_pairs("1\nAnn\t1\t2\n", known)[0].same


def test_a_folder_without_photos(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "begins"),
        ("1\t1\nAnn\t1\n", "line 2"),
        ("1\t1\nAnn\t1\t3\n", "no photo Ann_0003"),
    ],
)
def test_what_is_wrong_with_pairs(text: str, wrong: str) -> None:
    with pytest.raises(DatasetError, match=wrong):
        read_pairs(text, {"Ann_0001": 0})
