import os
import re
from pathlib import Path

import pytest

from tests import fixtures
from training import prepare, smoke
from training.config import esc50_dir
from training.data.index import (
    DataError,
    Example,
    class_names,
    fingerprint,
    fingerprint_of_files,
    fold_numbers,
    read_index,
    read_unlabelled,
)


def sounds(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(fixtures.encode(fixtures.tone(400 + 10 * number, 0.3), form="FLAC"))
    return folder


def table(folder: Path, *rows: str) -> Path:
    path = folder / "sounds.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


# --- tables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("filename,category\na.wav,dog\n".encode("utf-16"), "not in UTF-8 but in UTF-16"),
        ("filename,category\na.wav,dog\n".encode("utf-16-le"), "not in UTF-8 but in UTF-16"),
        ("filename,category\na.wav,dog\nb.wav,hünd\n".encode("latin-1"), "line 3: .* not in UTF-8"),
        (b"filename;category\na.wav;dog\n", "separated by semicolons"),
        (b"filename\tcategory\na.wav\tdog\n", "separated by tabs"),
        (b'filename,category\n"' + b"a" * 200_000 + b'",dog\n', "this is not CSV"),
        (b"", "has no column category and no column filename"),
    ],
)
def test_another_table_than_csv_in_utf8_is_explained(
    tmp_path: Path, data: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounds.csv").write_bytes(data)
    assert prepare.main([str(tmp_path / "sounds.csv")]) == 1
    said = capsys.readouterr().err
    assert re.search(reason, said)
    assert said.count("\n") == 1
    assert prepare.main(["--unlabelled", str(tmp_path / "sounds.csv")]) == 1


def test_a_table_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "sounds.csv").write_bytes("\ufefffilename,category\na,dog\nb,hünd\n".encode())
    assert class_names(read_index(tmp_path / "sounds.csv")) == ("dog", "hünd")


def test_files_of_the_operating_system_are_left_out(tmp_path: Path) -> None:
    sounds(
        tmp_path, "a/1.wav", "a/._1.wav", "a/Thumbs.db", "__MACOSX/1.wav", ".git/1.wav", "b/2.wav"
    )
    assert class_names(read_index(tmp_path)) == ("a", "b")
    assert [path.name for path in read_unlabelled(tmp_path)] == ["1.wav", "2.wav"]


def test_a_name_that_no_table_can_hold_is_explained(tmp_path: Path) -> None:
    sounds(tmp_path, "a/1.wav", "b/" + os.fsdecode(b"caf\xe9.wav"))
    for read in (read_index, read_unlabelled):
        with pytest.raises(DataError, match=r"caf%E9\.wav: the file name is not in UTF-8"):
            read(tmp_path)


# --- ESC-50 -------------------------------------------------------------------------------


def test_the_index_lists_files_folds_labels_and_sources_in_order(esc50: Path) -> None:
    examples = read_index(esc50)
    assert len(examples) == 8
    assert examples[0] == Example(esc50 / "audio" / "1-100-A-0.wav", 1, "whistle", "100")
    assert [example.fold for example in examples] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert fold_numbers(examples) == (1, 2, 3, 4)
    assert all(example.path.is_file() for example in examples)


def test_the_ogg_edition_is_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-7-A-0.ogg,1,0,dog,True,7,A\n"
        "2-8-B-1.ogg,2,1,rooster,True,8,B\n"
    )
    assert read_index(tmp_path) == [
        Example(tmp_path / "audio" / "1-7-A-0.ogg", 1, "dog", "7"),
        Example(tmp_path / "audio" / "2-8-B-1.ogg", 2, "rooster", "8"),
    ]


def test_classes_are_in_alphabetical_order_once_each(esc50: Path) -> None:
    assert class_names(read_index(esc50)) == ("rain", "whistle")


def test_the_environment_variable_sets_the_folder(
    monkeypatch: pytest.MonkeyPatch, esc50: Path
) -> None:
    monkeypatch.setenv("ESC50_DIR", str(esc50))
    assert esc50_dir() == esc50


def test_the_synthetic_data_is_read_as_esc50(tmp_path: Path) -> None:
    examples = read_index(smoke.make(tmp_path / "one"))
    assert class_names(examples) == ("hum", "rain", "whistle")
    assert fold_numbers(examples) == (1, 2, 3, 4)
    again = read_index(smoke.make(tmp_path / "two"))
    assert fingerprint(again) == fingerprint(examples)
    assert again[5].path.read_bytes() == examples[5].path.read_bytes()


# --- a folder of sounds -------------------------------------------------------------------


def test_a_folder_per_class_gives_classes_and_folds(tmp_path: Path) -> None:
    sounds(tmp_path, *(f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(10)))
    (tmp_path / "dog" / "notes.txt").write_text("not a sound, so ignored")
    (tmp_path / "dog" / ".hidden").write_bytes(b"x")
    examples = read_index(tmp_path)
    assert len(examples) == 20
    assert class_names(examples) == ("cat", "dog")
    for fold in (1, 2, 3, 4, 5):
        labels = [example.label for example in examples if example.fold == fold]
        assert sorted(labels) == ["cat", "cat", "dog", "dog"]


def test_files_in_a_subfolder_are_one_recording(tmp_path: Path) -> None:
    names = [f"cat/garden {take}/{n}.wav" for take in range(6) for n in range(3)]
    sounds(tmp_path, *names, *(f"dog/{n}.wav" for n in range(6)))
    examples = read_index(tmp_path)
    for take in range(6):
        folds = {e.fold for e in examples if e.source == f"cat/garden {take}"}
        assert len(folds) == 1


def test_folds_do_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    names = [f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(7)]
    one, other = (read_index(sounds(tmp_path / place, *names)) for place in ("a", "b/c"))
    assert [e.fold for e in one] == [e.fold for e in other]
    assert fingerprint(one) == fingerprint(other)


def test_esc50_file_names_give_the_folds(tmp_path: Path) -> None:
    sounds(tmp_path, "dog/3-55-A-0.wav", "cat/2-66-B-5.wav")
    assert [(e.fold, e.source) for e in read_index(tmp_path)] == [(2, "66"), (3, "55")]


@pytest.mark.parametrize("names", [(), ("dog/1.wav",), ("1.wav", "2.wav")])
def test_fewer_than_two_classes_are_rejected_with_advice(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match="fewer than two classes"):
        read_index(sounds(tmp_path, *names))


def test_saved_folds_stay_when_sounds_are_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sounds(tmp_path / "data", *(f"{c}/{n}.wav" for c in ("cat", "dog") for n in range(6)))
    before = read_index(data)
    file = tmp_path / "folds.csv"
    assert prepare.main([str(data), "--write-csv", str(file)]) == 0
    assert f"--data {file}" in capsys.readouterr().out
    sounds(data, "cat/0 new.wav", "dog/more/1.wav")
    assert read_index(file) == before


# --- a CSV file ---------------------------------------------------------------------------


def test_a_csv_file_names_files_beside_it(tmp_path: Path) -> None:
    path = table(tmp_path, "filename,category,fold,source", "a.wav,cat,2,x", "deep/b.wav,dog,1,y")
    assert read_index(path) == [
        Example(tmp_path / "a.wav", 2, "cat", "x"),
        Example(tmp_path / "deep" / "b.wav", 1, "dog", "y"),
    ]


def test_without_folds_a_csv_file_is_split_by_its_sources(tmp_path: Path) -> None:
    rows = [f"{take}{n}.wav,{label},{label}{take}" for label in ("cat", "dog")
            for take in range(5) for n in range(4)]  # fmt: skip
    examples = read_index(table(tmp_path, "filename,category,source", *rows))
    folds: dict[str, set[int]] = {}
    for example in examples:
        folds.setdefault(example.source, set()).add(example.fold)
    assert all(len(where) == 1 for where in folds.values())
    assert sorted(fold for where in folds.values() for fold in where) == sorted([1, 2, 3, 4, 5] * 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("name,category", "a.wav,cat"), "has no column filename"),
        (("filename,category", "a.wav,cat", ",dog"), "line 3: filename and category"),
        (("filename,category,fold", "a.wav,cat,x"), "line 2: the fold is 'x'"),
        (("filename,category,fold", "a.wav,cat,0"), "line 2: the fold is '0'"),
        (("filename,category,fold", "a.wav,cat,1", "b.wav,dog,"), "b.wav has none"),
    ],
)
def test_an_error_in_a_csv_file_is_reported_with_its_line(
    tmp_path: Path, rows: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_index(table(tmp_path, *rows))


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        read_index(tmp_path / "nowhere")


# --- sounds without labels ----------------------------------------------------------------


def test_sounds_without_labels_are_found_at_any_depth(tmp_path: Path) -> None:
    sounds(tmp_path, "b.flac", "game/sfx/a.flac", ".hidden/c.flac")
    (tmp_path / "game" / "README.txt").write_text("Sounds of a game.")
    names = [path.relative_to(tmp_path).as_posix() for path in read_unlabelled(tmp_path)]
    assert names == ["b.flac", "game/sfx/a.flac"]


def test_a_csv_file_lists_sounds_without_labels(tmp_path: Path) -> None:
    sounds(tmp_path, "b.flac", "game/a.flac", "c.flac")
    listed = table(tmp_path, "filename", "game/a.flac", "b.flac")
    assert read_unlabelled(listed) == (tmp_path / "game" / "a.flac", tmp_path / "b.flac")


def test_missing_sounds_without_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no sounds"):
        read_unlabelled(tmp_path)
    with pytest.raises(DataError, match="neither a folder nor a CSV file"):
        read_unlabelled(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"line 2: .*lost\.wav does not exist"):
        read_unlabelled(table(tmp_path, "filename", "lost.wav"))
    with pytest.raises(DataError, match="no column filename"):
        read_unlabelled(table(tmp_path, "name", "lost.wav"))


def test_files_are_identified_by_their_names_and_sizes(tmp_path: Path) -> None:
    one, two = read_unlabelled(sounds(tmp_path / "here", "a.flac", "b.flac"))
    before = fingerprint_of_files([one, two])
    moved = read_unlabelled(sounds(tmp_path / "there", "a.flac", "b.flac"))
    assert fingerprint_of_files(moved) == before
    assert fingerprint_of_files([one]) != before
    two.write_bytes(two.read_bytes() + b"\0")
    assert fingerprint_of_files([one, two]) != before
    assert fingerprint_of_files([]) == ""
