"""Settings that must stand before TensorFlow is imported, and shared fixtures."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def disk_events(monkeypatch):
    """What happens on the disk, in order: the inode of what is synced, or its move."""
    events = []
    fsync = os.fsync

    def logged_fsync(descriptor):
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def log_moves(name):
        move = getattr(Path, name)

        def logged(self, target):
            events.append(name)
            return move(self, target)

        monkeypatch.setattr(Path, name, logged)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    log_moves("rename")
    log_moves("replace")
    return events
