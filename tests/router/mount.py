"""A Secret as the kubelet mounts it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Mount"]


class Mount:
    """A mounted Secret, which the kubelet changes by replacing the link that all files are reached through."""

    def __init__(self, path: Path, **entries: str) -> None:
        self.path = path
        self._turn = 0
        path.mkdir(exist_ok=True)
        self.put(**entries)

    def put(self, **entries: str) -> None:
        """What the Secret holds from now on."""
        self._turn += 1
        fresh = self.path / f"..{self._turn}"
        fresh.mkdir()
        for name, text in entries.items():
            (fresh / name).write_text(text)
        link = self.path / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self.path / "..data")
        for path in self.path.iterdir():
            if not path.name.startswith("..") and path.name not in entries:
                path.unlink()
        for name in entries:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
