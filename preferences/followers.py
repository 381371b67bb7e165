"""Who remembers configurations by their name, and follows when one is renamed.

Media files have `media_side`. The speed test is not known here, so it registers.
"""

from collections.abc import Callable, Mapping

Follower = Callable[[str, str], None]
"""Gets the old name and the new one, inside the transaction that saves the preferences."""

_registered: list[Follower] = []


def register(follower: Follower) -> None:
    """Tell `follower` of each rename from now on."""
    if follower not in _registered:
        _registered.append(follower)


def tell(renames: Mapping[str, str]) -> None:
    """Let everybody follow these renames, old name to new."""
    for old, new in renames.items():
        for follower in _registered:
            follower(old, new)
