"""A worker's child loads Keras without the packages that Keras and TensorFlow load in case."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading

import pytest

from experiments.engine.backend.lean_import import NOT_NEEDED, without_unneeded_packages


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_this_thread_does_without_and_others_do_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    found_elsewhere: list[object] = []
    with without_unneeded_packages():
        with pytest.raises(ModuleNotFoundError, match=name):
            importlib.import_module(name)
        thread = threading.Thread(target=lambda: found_elsewhere.append(importlib.util.find_spec(name)))
        thread.start()
        thread.join()
    assert found_elsewhere != [None]
    assert importlib.util.find_spec(name) is not None
