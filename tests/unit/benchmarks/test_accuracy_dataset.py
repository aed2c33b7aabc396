"""Reading LFW's form."""

import unicodedata
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
    known = {("Ann", 1): 0, ("Ann", 2): 1}
    [pair], missing = read_pairs("1\nAnn\t1\t2\n", known)
    assert pair.same
    assert missing == 0


def test_pairs_without_their_photos_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "Ann_0001", "Ann_0002", "Bob_0001")
    (tmp_path / "pairs.txt").write_text(PAIRS)
    data = load(tmp_path)
    assert len(data.pairs) == 2
    assert data.missing_pairs == 2
    assert data.folds == (1,)
    assert load(tmp_path, [2]).pairs == ()


def test_without_pairs_and_with_one_photo_each(tmp_path: Path) -> None:
    write(tmp_path, "Ann_0001", "Bob_0001")
    data = load(tmp_path)
    assert data.pairs == ()
    assert list(data.first) == [0, 1]
    assert len(data.second) == 0


def test_photos_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write(tmp_path, "Ann_0010", "Ann_0002")
    for name in ("Ann_1.JPG", "portrait.webp", "._Ann_0002.jpg", "notes.txt"):
        (tmp_path / "Ann" / name).write_bytes(b"")
    assert [photo.name for photo in load(tmp_path).photos] == [
        "Ann_1.JPG",
        "Ann_0002.jpg",
        "Ann_0010.jpg",
        "portrait.webp",
    ]


@pytest.mark.parametrize("between", ["\t", " "])
@pytest.mark.parametrize(
    "name", ["Ann Lee", "O'Hara 3", "Zo\u00eb_\u0141", "\u5f20\u4f1f", "A.B-C"]
)
def test_names_with_odd_characters(tmp_path: Path, name: str, between: str) -> None:
    # As macOS writes it: accents taken apart.
    folder = tmp_path / unicodedata.normalize("NFD", name)
    folder.mkdir()
    for number in (1, 2):
        (folder / f"{name}_{number:04d}.jpg").write_bytes(b"")
    line = between.join([name, "1", "2"])
    (tmp_path / "pairs.txt").write_text(f"\ufeff1\t1\r\n{line}\r\n", encoding="utf-8")
    [pair] = load(tmp_path).pairs
    assert (pair.first, pair.second, pair.same) == (0, 1, True)


def test_a_folder_without_photos(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "begins"),
        ("Ann\t1\t2\n", "begins"),
        ("0\n", "begins"),
        ("1\t1\nAnn\t1\n", "line 2"),
        ("1\t1\nAnn\tone\ttwo\n", "line 2"),
        ("1\t1\nAnn 1 two\n", "line 2"),
    ],
)
def test_what_is_wrong_with_pairs(text: str, wrong: str) -> None:
    with pytest.raises(DatasetError, match=wrong):
        read_pairs(text, {("Ann", 1): 0})
