"""Writing files so that nobody ever finds half of one."""

import errno
import os


def write_atomically(path, data):
    """Write bytes to `path`: all of them, or none and the old file stays, whatever happens in between.

    They go to a temporary file in the same folder, to the disk, and then under the real name. OSError when that fails.
    """
    import tempfile

    path = os.path.realpath(path)  # a link keeps pointing where it does
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is not a regular file")  # a device or a pipe, which a file would replace
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.", suffix=".part"
    )
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if os.name == "posix":  # Windows knows read-only alone, and that could be neither renamed onto nor removed
            os.chmod(temporary, _usual_mode(path))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(os.path.dirname(path))


def _usual_mode(path):
    """The old file's permissions, or those of any new file; mkstemp's own are for this user only."""
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


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
