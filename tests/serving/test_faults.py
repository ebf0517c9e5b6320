"""Exports that are killed, overtaken or out of space, and what they leave behind."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from servable import children
from toy import network

from keras_dos import export_servable
from keras_dos.serving.versions import write_version

TESTS = Path(__file__).parents[1]


def nothing(folder):
    """Write nothing."""


def age(folder, hours):
    """Let the last write into a folder be some hours ago."""
    past = time.time() - 3600 * hours
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (past, past))


def left_behind(base, name, hours):
    """What an export leaves that is killed before it has a lock."""
    folder = base / name
    (folder / "version" / "variables").mkdir(parents=True)
    (folder / "version" / "variables" / "variables.index").write_text("half")
    age(folder, hours)
    return folder


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_what_killed_exports_left_is_removed_after_an_hour(tmp_path):
    for number in range(3):
        left_behind(tmp_path, f".unfinished-{number}", hours=2)
    left_behind(tmp_path, ".unfinished-new", hours=0.5)
    written = left_behind(tmp_path, ".unfinished-written", hours=2)
    os.utime(written / "version" / "variables" / "variables.index")
    left_behind(tmp_path, "notes", hours=2)
    write_version(tmp_path, nothing)
    assert children(tmp_path) == [
        ".unfinished-new",
        ".unfinished-written",
        "1",
        "notes",
    ]


def test_the_age_is_that_of_the_clock_of_the_disk(tmp_path, monkeypatch):
    left_behind(tmp_path, ".unfinished-new", hours=0.5)
    monkeypatch.setattr(time, "time", lambda: 2e9)  # This machine is years ahead.
    write_version(tmp_path, nothing)
    assert children(tmp_path) == [".unfinished-new", "1"]


def test_an_export_that_another_thread_runs_is_left_alone(tmp_path):
    def files(folder):
        (folder / "graph").touch()
        (unfinished,) = tmp_path.iterdir()
        age(unfinished, hours=1000)
        assert write_version(tmp_path, nothing).name == "1"

    # It would be the same thread; a lock belongs to the opened file, not to a thread.
    assert write_version(tmp_path, files).name == "2"
    assert children(tmp_path) == ["1", "2"]
    assert children(tmp_path / "2") == ["graph"]


WAITS = """
import sys
from pathlib import Path
from keras_dos.serving.versions import write_version

def files(folder):
    (folder / "graph").touch()
    print("writing", flush=True)
    sys.stdin.readline()

write_version(Path(sys.argv[1]), files)
"""


@pytest.mark.slow
def test_an_export_of_another_process_is_left_alone_until_it_is_killed(tmp_path):
    with python(WAITS, tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "writing\n"
        (unfinished,) = tmp_path.iterdir()
        age(unfinished, hours=1000)
        write_version(tmp_path, nothing)
        assert children(tmp_path) == [unfinished.name, "1"]
        process.communicate("go on\n")
    assert process.returncode == 0
    assert children(tmp_path) == ["1", "2"]
    with python(WAITS, tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "writing\n"
        process.kill()
    (unfinished,) = tmp_path.glob(".unfinished-*")
    age(unfinished, hours=1000)
    write_version(tmp_path, nothing)
    assert children(tmp_path) == ["1", "2", "3"]


@pytest.mark.parametrize("lock", [OSError(errno.ENOLCK, "no locks"), None])
def test_without_locks_the_age_decides(lock, tmp_path, monkeypatch):
    def flock(file, operation):
        raise lock

    if lock is None:  # Not a module of every platform.
        monkeypatch.setattr("keras_dos.serving.unfinished.fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", flock)
    (left_behind(tmp_path, ".unfinished-old", hours=2) / "lock").touch()
    age(tmp_path / ".unfinished-old", hours=2)
    left_behind(tmp_path, ".unfinished-new", hours=0.5)
    write_version(tmp_path, nothing)
    assert children(tmp_path) == [".unfinished-new", "1"]


@pytest.mark.parametrize("sign", ["", "+", " "])
def test_above_the_largest_version_there_is_none(sign, tmp_path):
    (tmp_path / f"{sign}{2**63 - 2}").mkdir()
    assert write_version(tmp_path, nothing).name == str(2**63 - 1)
    (tmp_path / str(2**63 - 1)).rename(tmp_path / f"{sign}{2**63 - 1}")
    before = children(tmp_path)
    with pytest.raises(ValueError, match=r"`path` must have no version 9223372036854"):
        export_servable(network(), tmp_path)
    assert children(tmp_path) == before


def test_a_largest_version_that_appears_meanwhile_ends_the_export(tmp_path):
    def files(folder):
        (tmp_path / str(2**63 - 1)).mkdir()

    with pytest.raises(ValueError, match=r"rename that folder\. Received: "):
        write_version(tmp_path, files)
    assert children(tmp_path) == [str(2**63 - 1)]


@pytest.fixture
def private_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes(version):
    """The permissions of folders, and those of files."""
    paths = [version, *version.rglob("*")]
    return tuple(
        {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir() is folder}
        for folder in (True, False)
    )


@pytest.mark.usefixtures("private_umask")
def test_who_may_read_the_folder_may_read_the_version_whatever_the_umask(tmp_path):
    def files(folder):
        (folder / "variables").mkdir()
        (folder / "variables" / "variables.index").touch()

    base = tmp_path / "model"
    assert modes(write_version(base, files)) == ({0o700}, {0o600})
    base.chmod(0o750)
    assert modes(write_version(base, files)) == ({0o750}, {0o640})
    base.chmod(0o777)  # To read, not to write: a graph is code.
    assert modes(export_servable(network(), base)) == ({0o755}, {0o644})


def test_files_are_on_the_disk_before_the_version_has_its_name(tmp_path, disk_events):
    version = export_servable(network(), tmp_path)
    renamed = disk_events.index("rename")
    paths = [version, *version.rglob("*")]
    assert {path.stat().st_ino for path in paths} <= set(disk_events[:renamed])
    assert disk_events[renamed + 1 :] == [tmp_path.stat().st_ino]


def test_a_disk_that_syncs_no_folders_will_do(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    assert write_version(tmp_path, lambda new: (new / "x").touch()).name == "1"


def test_a_file_that_does_not_reach_the_disk_ends_the_export(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="the disk is broken"):
        write_version(tmp_path, lambda new: (new / "x").touch())
    assert children(tmp_path) == []


@pytest.mark.parametrize(
    ("message", "kind", "number"),
    [
        ("/m/x.index; No space left on device [Op:SaveV2]", OSError, errno.ENOSPC),
        ("/m/saved_model.pb; Permission denied", PermissionError, errno.EACCES),
        ("/m/x; No such device or address", OSError, errno.ENXIO),
    ],
)
def test_errors_of_tensorflow_about_a_disk_are_os_errors(
    message, kind, number, tmp_path
):
    def files(folder):
        raise tf.errors.UnknownError(None, None, message)

    with pytest.raises(kind, match=tmp_path.name) as caught:
        write_version(tmp_path, files)
    assert caught.value.errno == number
    assert isinstance(caught.value.__cause__, tf.errors.UnknownError)
    assert children(tmp_path) == []


def test_other_errors_of_tensorflow_stay_what_they_are(tmp_path):
    def files(folder):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    with pytest.raises(tf.errors.ResourceExhaustedError, match="OOM"):
        write_version(tmp_path, files)


SMALL_DISKS = """
import os, subprocess, sys
from toy import network
from keras_dos import export_servable

model = network()
for size in (4, 8, 24, 48, 52, 1000):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", sys.argv[1]]
    subprocess.run(mount, check=True)
    try:
        export_servable(model, sys.argv[1])
        print("written", os.listdir(sys.argv[1]))
    except OSError as error:
        print("errno", error.errno, os.listdir(sys.argv[1]))
    subprocess.run(["umount", sys.argv[1]], check=True)
"""


def may_mount():
    """Whether a user of this machine may mount disks of their own."""
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    try:
        done = subprocess.run([*command, *mount], capture_output=True)
    except FileNotFoundError:
        return []
    return command if done.returncode == 0 else []


@pytest.mark.slow
def test_a_full_disk_is_an_os_error_whichever_file_it_stops(tmp_path):
    if not (unshare := may_mount()):
        pytest.skip("this user may not mount a small disk")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", SMALL_DISKS, str(tmp_path)],
        cwd=TESTS,
        capture_output=True,
        text=True,
    )
    full = f"errno {errno.ENOSPC} []"
    lines = done.stdout.splitlines()
    assert lines[:4] == [full] * 4, done.stderr[-3000:]
    assert lines[4:] == [full, "written ['1']"]


FILE_LIMIT = """
import resource, signal, sys
from toy import network
from keras_dos import export_servable

model = network()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
try:
    export_servable(model, sys.argv[1])
except OSError as error:
    print(error, flush=True)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
export_servable(model, sys.argv[1])
"""


@pytest.mark.slow
def test_a_failure_and_a_kill_leave_no_version(tmp_path):
    folder = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", FILE_LIMIT, str(folder)],
        cwd=TESTS,
        capture_output=True,
        text=True,
    )
    # The first write beyond the limit fails; the second time it kills the process.
    expected = OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(folder))
    assert done.stdout == f"{expected}\n", done.stderr[-3000:]
    assert done.returncode == -signal.SIGXFSZ
    (left,) = children(folder)
    assert left.startswith(".unfinished-")
    age(folder / left, hours=2)
    assert export_servable(network(), folder).name == "1"
    assert children(folder) == ["1"]
