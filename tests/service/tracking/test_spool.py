"""The spool on a real file system."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from service.tracking.spool import Spool, UnsafePath


def test_keeps_its_name_and_all_agree_on_it(tmp_path: Path) -> None:
    names = []
    threads = [threading.Thread(target=lambda: names.append(Spool.open(tmp_path / "s").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 1
    assert len(names[0]) == 32
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["id"]


def test_artifacts_of_one_attempt_only(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    spool.put("r1", 1, "spec.yaml", b"old")
    spool.put("r1", 2, "weights/model.weights.h5", b"w")
    spool.put("r1", 2, "spec.yaml", b"new")
    files = spool.artifacts("r1", 2)
    assert [path for _, path in files] == ["spec.yaml", "weights/model.weights.h5"]
    assert files[0][0].read_bytes() == b"new"
    assert spool.artifacts("r1", 3) == []
    assert spool.run_ids() == ["r1"]
    spool.forget("r1")
    assert spool.run_ids() == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/spec.yaml", "a/../../b", "", "."])
def test_no_path_leaves_the_run(tmp_path: Path, path: Any) -> None:
    with pytest.raises(UnsafePath):
        Spool.open(tmp_path).put("r1", 1, path, b"")


@pytest.mark.parametrize("run_id", ["../x", "", ".hidden", "a/b"])
def test_no_run_id_leaves_the_spool(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(UnsafePath):
        Spool.open(tmp_path).put(run_id, 1, "spec.yaml", b"")


def test_checkpoints(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    first = spool.put_checkpoint("r1", 1, 5, b"five")
    second = spool.put_checkpoint("r1", 1, 10, b"ten")
    newer = spool.put_checkpoint("r1", 1, 11, b"eleven")  # written, and not yet noted
    spool.forget_checkpoints("r1", before=second)
    assert spool.checkpoint("r1", first) is None
    assert spool.checkpoint("r1", second) == b"ten"
    assert spool.checkpoint("r1", newer) == b"eleven"
    spool.put("r1", 2, "spec.yaml", b"")
    spool.forget("r1", 1)
    assert spool.checkpoint("r1", newer) is None
    assert len(spool.artifacts("r1", 2)) == 1


def test_one_shipper_at_a_time(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    with spool.alone() as first, spool.alone() as second:
        assert (first, second) == (True, False)
    with spool.alone() as third:
        assert third
