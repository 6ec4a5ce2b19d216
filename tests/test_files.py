"""Paths as users write them, and what `save` does to what is there."""

import errno
import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_here, check_target, disk_errors, no_room, save, user_path


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert user_path("~/run") == tmp_path / "run"
    assert user_path("a/~/b") == Path("a/~/b")
    assert save("x", "~/x.txt") == check_target("~/x.txt") == tmp_path / "x.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a\0b", r"'a\\x00b' has a NUL character"),
        ("x" * 256, "'x{80}...' has a name of more than 255 bytes"),
        ("nowhere/" + "é" * 128, "has a name of more than 255 bytes"),
        ("x/" * 3000, "Cannot use the path .*: File name too long"),
        ("~no such user~/x", "begins with a user who has no home folder"),
        ("\udcff", r"'\\udcff' is not UTF-8 text"),  # as Python reads the byte ff
        ("loop", "Cannot use the path 'loop': Too many levels of symbolic links"),
    ],
)
@pytest.mark.parametrize("use", [user_path, check_target, lambda path: save("new", path)])
def test_what_is_no_path_is_refused(tmp_path, monkeypatch, path, said, use) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UserError, match=said) as raised:
        use(path)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("folder", "it is a folder; name a file in it"),
        ("file/x", "file is a file, not a folder"),
        ("x" * 252, "has a name of more than 255 bytes"),  # with what is written first
    ],
)
@pytest.mark.parametrize("use", [check_target, lambda path: save("new", path)])
def test_where_no_file_can_be_is_told_before_and_after(
    tmp_path, monkeypatch, path, said, use
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("old")
    Path("folder").mkdir()
    with pytest.raises(UserError, match=said):
        use(path)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}
    assert Path("file").read_text() == "old"


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for old in ("old", None):
        target, link = tmp_path / f"there/{old}", tmp_path / f"link_to_{old}"
        link.symlink_to(target)
        if old:
            target.write_text(old)
        assert save("new", check_target(link)) == link
        assert link.is_symlink() and target.read_text() == "new"
    assert len(list(tmp_path.rglob("*"))) == 5  # and nothing is left beside them


def test_devices_and_pipes_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to(os.devnull)
    for device in (Path(os.devnull), tmp_path / "null"):
        save("new", check_target(device))
        assert device.is_char_device()
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    save("through", check_target(tmp_path / "pipe"))
    reader.join(timeout=30)
    assert read == ["through"] and (tmp_path / "pipe").is_fifo()
    with pytest.raises(UserError, match="Cannot write /dev/full: No space left on device"):
        save("new", "/dev/full")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"f_files": 100, "f_favail": 0}, "no inodes are free"),
        ({"f_files": 100, "f_favail": 1}, r"2.0 MB are needed, \d+\.\d MB are free"),
        ({"f_files": 0, "f_favail": 0}, r"2.0 MB are needed, \d+\.\d MB are free"),  # no bound
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, told, said) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**told))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_500_000))
    assert re.search(said, no_room(tmp_path / "x", 2_000_000))


def test_a_quota_is_not_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No room on disk for .*: your disk quota is used up"):
        with disk_errors(tmp_path):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_a_folder_that_is_gone_is_noticed(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    check_here()
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError, match="current folder has been removed"):
        check_here()
