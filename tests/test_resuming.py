from pathlib import Path

import pytest

from synth2real.resuming import fingerprint, resume_folder


def test_the_resume_folder_changes_with_settings_and_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("1")
    first = resume_folder("x", (1, "a"), [data])
    assert first == resume_folder("x", (1, "a"), [data])
    assert first.parent == tmp_path / ".dvc" / "tmp" / "resume"
    (data / "b").write_text("1")
    added = resume_folder("x", (1, "a"), [data])
    (data / "a").write_text("2")
    names = {first, added, resume_folder("x", (1, "a"), [data]), resume_folder("x", (2, "a"), [data])}
    assert len(names) == 4


def test_a_temporary_clone_resumes_in_the_main_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, main = tmp_path / "clone", tmp_path / "main"
    (clone / ".dvc").mkdir(parents=True)
    (clone / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {main / '.dvc' / 'cache'}\n")
    monkeypatch.setenv("DVC_ROOT", str(clone))
    assert resume_folder("x", (1, "a"), []).parent == main / ".dvc" / "tmp" / "resume"


def test_a_renamed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = fingerprint((1, "a"), [tmp_path])
    (tmp_path / "a").rename(tmp_path / "b")
    assert fingerprint((1, "a"), [tmp_path]) != before
