"""Finding a folder on a real disk: in memory, waiting for the disk costs nothing, and there is nothing to tune."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})


@dataclass(frozen=True, slots=True)
class _Mount:
    """One line of mountinfo: where it is mounted, of what kind, and a container's writable layer, if it is one."""

    point: Path
    kind: str
    upper: Path | None


def _unescape(text: str) -> str:
    """A path of mountinfo: blanks and backslashes are written as octal there."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _mounts(mountinfo: Path) -> list[_Mount]:
    """All mounts, later ones last; none where the kernel does not tell (another system than Linux)."""
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    mounts = []
    for line in lines:
        before, separator, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not separator or len(left) < 5:
            continue
        options = right[2].split(",") if len(right) > 2 else []
        upper = next((o.removeprefix("upperdir=") for o in options if o.startswith("upperdir=")), None)
        mounts.append(_Mount(Path(_unescape(left[4])), right[0], Path(_unescape(upper)) if upper else None))
    return mounts


def _mount_of(path: Path, mounts: list[_Mount]) -> _Mount | None:
    """The mount with the longest path above; of several at one place, the one mounted last."""
    above = [m for m in mounts if path.is_relative_to(m.point)]
    return max(reversed(above), key=lambda m: len(m.point.parts), default=None)


def is_real_disk(path: Path | str, mountinfo: Path = _MOUNTINFO) -> bool:
    """Whether a file at ``path`` would be on a disk, rather than in memory.

    Memory is tmpfs and ramfs, and an overlay (a container's file system) whose writable layer is on one of them. Where
    the system does not tell, it is taken for a disk.

    Args:
        path: The file or folder; it need not exist.
        mountinfo: Where the kernel lists the mounts.
    """
    mounts = _mounts(mountinfo)
    mount = _mount_of(Path(path).resolve(), mounts)
    if mount is not None and mount.kind == "overlay" and mount.upper is not None:
        # From inside a container the layer's path is the host's: then it leads back to an overlay, which says nothing.
        mount = _mount_of(mount.upper, mounts)
    return mount is None or mount.kind not in _IN_MEMORY


def pick_work_dir() -> tuple[Path, str]:
    """A writable folder for the demo's files, on a real disk if there is one.

    Returns:
        The first such folder among ``$TMPDIR``, ``/tmp``, ``/var/tmp`` and the current one, and an empty text; or the
        first writable folder, and a warning for the user.

    Raises:
        FileNotFoundError: None of them can be written to.
    """
    named = [os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp"]  # noqa: S108 - the caller makes its own folder inside
    candidates = [*(Path(name) for name in named if name), Path.cwd()]
    writable = [folder for folder in candidates if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)]
    if not writable:
        raise FileNotFoundError(
            f"None of {', '.join(map(str, candidates))} is a writable folder; set TMPDIR to one on a real disk"
        )
    for folder in writable:
        if is_real_disk(folder):
            return folder, ""
    return writable[0], (
        f"{writable[0]} is in memory, where commits cost nothing: the demo will run, but there is little to gain. "
        "Set TMPDIR to a folder on a real disk."
    )
