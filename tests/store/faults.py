"""Input and output errors on demand: a SQLite file system that fails at the k-th write.

SQLite's own way of testing (sqlite.org/testing.html, "I/O error testing"), through the C interface
of the library that Python's sqlite3 uses: a copy of the default VFS whose files count and fail.
"""

import ctypes
import ctypes.util
import sqlite3
from dataclasses import dataclass, field
from typing import Any

IOERR_WRITE = 778
IOERR_FSYNC = 1034
FULL = 13

_WRITE, _TRUNCATE, _SYNC = 2, 3, 4
_METHODS = 18


class _Methods(ctypes.Structure):
    _fields_ = [("version", ctypes.c_int), ("calls", ctypes.c_void_p * _METHODS)]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("max_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 18),
    ]


_INT, _POINTER, _LONG = ctypes.c_int, ctypes.c_void_p, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, ctypes.POINTER(_File), _INT, _POINTER)
_WRITE_CALL = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _LONG)
_TRUNCATE_CALL = ctypes.CFUNCTYPE(_INT, _POINTER, _LONG)
_SYNC_CALL = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


@dataclass
class Faults:
    """Counts writes, truncations and syncs of every database file of this process, and fails some.

    Attributes:
        count: Calls since `arm`.
        fail_at: The call that fails, from 1; 0 for none.
        lasting: Whether all later calls fail too.
        code: SQLite's result code of a failing write.
    """

    count: int = 0
    fail_at: int = 0
    lasting: bool = False
    code: int = IOERR_WRITE
    _keep: list[Any] = field(default_factory=list)

    def arm(self, fail_at: int, *, lasting: bool, code: int) -> None:
        """Fail the `fail_at`-th call from now on."""
        self.count, self.fail_at, self.lasting, self.code = 0, fail_at, lasting, code

    def disarm(self) -> None:
        """Fail nothing any more."""
        self.fail_at = 0

    @property
    def reached(self) -> bool:
        """Whether a call has failed since `arm`."""
        return 0 < self.fail_at <= self.count

    def due(self) -> bool:
        """Count one call and say whether it fails."""
        self.count += 1
        return self.count == self.fail_at or (self.lasting and 0 < self.fail_at < self.count)


def install() -> Faults | None:
    """Make the failing file system the default of this process; None where it cannot be done."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.sqlite3_libversion.restype = ctypes.c_char_p
    if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
        return None
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    faults = Faults()
    original = library.sqlite3_vfs_find(None)
    copy = _Vfs.from_buffer_copy(original.contents)
    copy.name = b"faulty"
    open_original = _OPEN(original.contents.open)
    wrapped: dict[int, _Methods] = {}

    def open_file(_vfs: int, path: int, file: Any, flags: int, out: int) -> int:
        result = int(open_original(ctypes.addressof(original.contents), path, file, flags, out))
        if file.contents.methods:
            address = ctypes.addressof(file.contents.methods.contents)
            if address not in wrapped:
                wrapped[address] = _wrap(file.contents.methods.contents, faults)
            file.contents.methods = ctypes.pointer(wrapped[address])
        return result

    callback = _OPEN(open_file)
    copy.open = ctypes.cast(callback, ctypes.c_void_p)
    faults._keep += [library, copy, callback, wrapped]
    if library.sqlite3_vfs_register(ctypes.byref(copy), 1) != 0:
        return None
    return faults


def _wrap(methods: _Methods, faults: Faults) -> _Methods:
    copy = _Methods.from_buffer_copy(methods)
    write = _WRITE_CALL(methods.calls[_WRITE])
    truncate = _TRUNCATE_CALL(methods.calls[_TRUNCATE])
    sync = _SYNC_CALL(methods.calls[_SYNC])
    calls = (
        _WRITE_CALL(lambda f, p, n, at: faults.code if faults.due() else write(f, p, n, at)),
        _TRUNCATE_CALL(lambda f, size: IOERR_WRITE if faults.due() else truncate(f, size)),
        _SYNC_CALL(lambda f, flags: IOERR_FSYNC if faults.due() else sync(f, flags)),
    )
    for place, call in zip((_WRITE, _TRUNCATE, _SYNC), calls, strict=True):
        copy.calls[place] = ctypes.cast(call, ctypes.c_void_p).value
    faults._keep += [copy, calls, write, truncate, sync]
    return copy
