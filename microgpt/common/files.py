"""Atomic file writes: a reader never sees half a file, and no file of the user's is lost."""

import errno
import os
import stat
from contextlib import contextmanager, suppress

SUFFIX = ".part"
LONGEST_NAME = 100  # bytes of a file's own name in that of its temporary file


def write_atomically(path, data):
    """Write bytes to `path`: all of them, or none, in which case the old file stays, whatever happens in between.

    They are written to a temporary file in the same folder, flushed to the disk, and renamed. OSError if that fails, and if
    `check_writable` raises it.
    """
    path = _replaceable(path)
    sweep(path)
    _write(path, data)
    _sync_folder(os.path.dirname(path))


def write_folder(folder, contents):
    """Write files, name -> bytes, to `folder`. A new folder appears with all of them or not at all; in an existing folder, each file is
    replaced as a whole. OSError if that fails."""
    import tempfile  # here, since start-up counts

    folder = os.path.realpath(folder)
    if os.path.isdir(folder):
        for name, data in contents.items():
            write_atomically(os.path.join(folder, name), data)
        return
    with tempfile.TemporaryDirectory(prefix=".", suffix=SUFFIX, dir=os.path.dirname(folder)) as around:
        made = os.path.join(around, "folder")  # in a private one, which keeps its own permissions
        os.mkdir(made)
        for name, data in contents.items():
            write_atomically(os.path.join(made, name), data)
        os.rename(made, folder)
    _sync_folder(os.path.dirname(folder))


def check_writable(path):
    """OSError unless `path` can be written: its folder must exist, and it must not be a folder, a device or a read-only file.

    This is tested by making a temporary file and removing it.
    """
    path = _replaceable(path)
    sweep(path)
    with _temporary(path):
        pass


def sweep(path):
    """Remove temporary files of earlier writes to `path` whose processes were killed. Those of running processes stay."""
    path = os.path.realpath(path)
    folder, prefix = os.path.dirname(path), _prefix(path)
    try:
        names = os.listdir(folder)
    except OSError:  # a folder that may be written but not read
        return
    for name in names:
        if name.startswith(prefix) and name.endswith(SUFFIX) and len(name) == len(prefix) + 8 + len(SUFFIX):
            _remove_if_dead(os.path.join(folder, name))


def _replaceable(path):
    """The real path, at which there is no file or one that may be replaced; else OSError."""
    path = os.path.realpath(path)  # a link keeps its target
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return path
    if not stat.S_ISREG(mode):  # a device or a pipe would be replaced by a file
        raise OSError(errno.EINVAL, "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
    if not mode & 0o222 or not os.access(path, os.W_OK):  # root could write to it even so
        raise PermissionError(errno.EACCES, "it is write-protected")
    return path


def _write(path, data):
    with _temporary(path) as (file, temporary):
        if os.name == "posix" and os.path.exists(path):
            os.chmod(temporary, _mode(path))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if os.name != "posix":  # Windows renames no open file
            file.close()
        os.replace(temporary, path)


@contextmanager
def _temporary(path):
    """(file, name) of a new file in the folder of `path`, locked while this process lives; removed at the end unless it was renamed."""
    file, temporary = _create(path)
    while not os.fstat(file.fileno()).st_nlink:  # another process's sweep removed it before it was locked
        file.close()
        file, temporary = _create(path)
    try:
        yield file, temporary
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            os.unlink(temporary)


def _create(path):
    temporary = os.path.join(os.path.dirname(path), f"{_prefix(path)}{os.urandom(4).hex()}{SUFFIX}")
    file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, _mode(path)))
    with suppress(OSError):  # some network file systems have no locks
        _lock(file, wait=True)
    return file, temporary


def _lock(file, wait):
    """Lock a file for this process; OSError if there are no locks or, unless it may wait, if another process holds the lock.

    Windows needs none: a file that is open cannot be removed there.
    """
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_if_dead(temporary):
    with suppress(OSError):
        with open(temporary, "rb") as file:
            _lock(file, wait=False)
            if os.name == "posix":
                os.unlink(temporary)  # under the lock, so that the next holder finds it removed
                return
        os.unlink(temporary)


def _mode(path):
    """The old file's permissions, or those that the system derives a new file's from."""
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        return 0o666


def _prefix(path):
    """The beginning of the names of the temporary files of `path`."""
    name = os.path.basename(path)
    if len(os.fsencode(name)) > LONGEST_NAME:
        import hashlib

        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f".{name}."


def _sync_folder(folder):
    """Make the new name as durable as the data, where the system can (Windows cannot)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError:  # some network file systems
            pass
        finally:
            os.close(handle)
