"""Stored bytes: immutable, on disk when large, shared by everything that refers to them.

moto keeps whole objects in memory whenever it stores, joins or reads one. The front therefore
keeps the bytes itself and gives moto's object a reader on them.
"""

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

IN_MEMORY = 256 * 1024
BLOCK = 256 * 1024


class NamelessFile:
    """A temporary file that no directory lists; it is gone with the last reference to it."""

    __slots__ = ("_descriptor",)

    def __init__(self, directory: str | None = None) -> None:
        self._descriptor = -1
        self._descriptor, path = tempfile.mkstemp(prefix="s3-", dir=directory)
        Path(path).unlink()

    def fileno(self) -> int:
        """The descriptor, for os.pread and sendfile."""
        return self._descriptor

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


class Spool:
    """One temporary file without a name that many bodies share, each its own stretch: the parts
    of one multipart upload need one file descriptor however many they are."""

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._end = 0
        self._file: NamelessFile | None = None

    def reserve(self, length: int) -> tuple[NamelessFile, int]:
        """The file, and where in it `length` bytes may be written."""
        with self._lock:
            if self._file is None:
                self._file = NamelessFile(self._directory)
            offset = self._end
            self._end += length
            return self._file, offset


class Blob:
    """Immutable bytes in stretches of files or of memory. The files go with the last reference."""

    __slots__ = ("segments", "size")

    def __init__(self, segments: tuple[tuple[NamelessFile | bytes, int, int], ...] = ()) -> None:
        self.segments = segments
        self.size = sum(length for _, _, length in segments)

    @classmethod
    def of(cls, data: bytes) -> "Blob":
        """A blob of bytes in memory."""
        return cls(((data, 0, len(data)),)) if data else cls()

    @classmethod
    def joined(cls, blobs: list["Blob"]) -> "Blob":
        """The blobs one after the other; nothing is copied, neighbours in a file are merged."""
        merged: list[tuple[NamelessFile | bytes, int, int]] = []
        for blob in blobs:
            for source, offset, length in blob.segments:
                if merged and not isinstance(source, bytes):
                    last, start, size = merged[-1]
                    if last is source and start + size == offset:
                        merged[-1] = (source, start, size + length)
                        continue
                merged.append((source, offset, length))
        return cls(tuple(merged))

    def pieces(self, offset: int, length: int) -> Iterator[tuple[NamelessFile | bytes, int, int]]:
        """The stretches that make up `length` bytes from `offset`, as (source, offset, length)."""
        end = min(offset + length, self.size)
        position = 0
        for source, start, size in self.segments:
            low, high = max(offset, position), min(end, position + size)
            if low < high:
                yield source, start + low - position, high - low
            position += size

    def slice(self, offset: int, length: int) -> "Blob":
        """A blob of `length` bytes from `offset`, sharing what is stored."""
        return Blob(tuple(self.pieces(offset, length)))

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes in memory: for small stretches."""
        parts = []
        for source, start, size in self.pieces(offset, self.size if length is None else length):
            if isinstance(source, bytes):
                parts.append(source[start : start + size])
            else:
                parts.append(_pread(source, start, size))
        return b"".join(parts)

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """The whole content, block by block."""
        for offset in range(0, self.size, size):
            yield self.read(offset, size)


def _pread(file: NamelessFile, offset: int, size: int) -> bytes:
    parts = []
    while size:
        block = os.pread(file.fileno(), size, offset)
        if not block:
            raise OSError("a stored object's temporary file is shorter than it was written")
        parts.append(block)
        offset += len(block)
        size -= len(block)
    return b"".join(parts)


def store(
    fill: Callable[[memoryview], int],
    length: int,
    spool: Spool,
    see: Callable[[memoryview], None],
) -> Blob:
    """Takes exactly `length` bytes from `fill` (like readinto) into a blob; `see` gets each block.

    Raises EOFError when there are fewer; bytes after `length` are not read.
    """
    buffer = memoryview(bytearray(min(BLOCK, max(length, 1))))
    file, offset = (None, 0) if length <= IN_MEMORY else spool.reserve(length)
    start, left, memory = offset, length, []
    while left:
        count = fill(buffer[: min(len(buffer), left)])
        if not count:
            raise EOFError(f"{left} bytes are missing")
        block = buffer[:count]
        see(block)
        if file is None:
            memory.append(bytes(block))
        else:
            _pwrite(file, block, offset)
        offset += count
        left -= count
    if file is None:
        return Blob.of(b"".join(memory))
    return Blob(((file, start, length),))


def _pwrite(file: NamelessFile, block: memoryview, offset: int) -> None:
    while block:
        written = os.pwrite(file.fileno(), block, offset)
        block = block[written:]
        offset += written


class BlobReader(io.RawIOBase):
    """A blob as the file that moto's object reads its value from."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self.blob = blob
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position as any file does."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.blob.size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer from the position."""
        data = self.blob.read(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
