"""The device's memory, with an account of it: what arrays hold, and a limit that a test may set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ROUND = 512  # bytes; CuPy's pool hands out multiples of this
TOTAL = 2**40

_limit = 0


class _Account:
    """Bytes in use, and the most that were."""

    used = 0
    peak = 0

    def release(self, size: int) -> None:
        self.used -= size


_account = _Account()
release = _account.release  # of bytes that are used no longer


class OutOfMemoryError(MemoryError):
    """More was asked for than there is."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        self._size, self._total, self._limit = size, total, limit
        so_far = f"allocated so far: {total:,} bytes, limit set to: {limit:,} bytes"
        super().__init__(f"Out of memory allocating {size:,} bytes ({so_far}).")


def allocate(size: int) -> int:
    """Count so many bytes, rounded up, as used; `release` what is returned."""
    rounded = -(-size // ROUND) * ROUND
    if _limit and _account.used + rounded > _limit:
        raise OutOfMemoryError(rounded, _account.used, _limit)
    _account.used += rounded
    _account.peak = max(_account.peak, _account.used)
    return rounded


class MemoryPool:
    """CuPy's pool, which here gives back at once what nobody refers to any more, and so asks no `allocator`."""

    def __init__(self, allocator: Any = None) -> None:
        self.allocator = allocator
        self._most = 0  # bytes that were in use at once, more than before, while it was the one to ask

    def used_bytes(self) -> int:
        return _account.used if self is _pool else 0  # all arrays are the default pool's here

    def free_bytes(self) -> int:
        return 0

    def total_bytes(self) -> int:
        return self.used_bytes() if self is _pool else self._most

    def free_all_blocks(self, stream: None = None) -> None:
        return None

    def get_limit(self) -> int:
        return _limit

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the stand-in's arrays bring their memory along")

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        global _limit
        _limit = 0 if size is None else size


_pool = MemoryPool()


@contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Another pool inside a block: here nothing is ever given to somebody else."""
    pool, before, outer = getattr(allocator, "__self__", None), _account.used, _account.peak
    _account.peak = before
    try:
        yield
    finally:
        if isinstance(pool, MemoryPool):
            pool._most = max(pool._most, _account.peak - before)
        _account.peak = max(outer, _account.peak)


def get_default_memory_pool() -> MemoryPool:
    return _pool


def memGetInfo() -> tuple[int, int]:
    """Free and total bytes of the device."""
    return TOTAL - _account.used, TOTAL
