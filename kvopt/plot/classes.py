"""Which requests look alike in a picture: one class for each type while types are few, else groups by volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps

from kvopt.model import Instance, IntArray, volume

#: Most classes told apart in one picture; the hatches below are as many.
MAX_CLASSES = 6
VOLUME_CLASSES = 5

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---")

#: Requests of one class take these shades in turn, so that neighbours can be told apart.
SHADES = (0.0, 0.3, 0.6)

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Classes:
    """Classes of requests, numbered from the smallest volume to the largest.

    Attributes
    ----------
    of_request : int64 array of shape (n,)
    labels : tuple of str
        For the legend.
    """

    of_request: IntArray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def colour(self, k: int, turn: int = 0) -> Colour:
        """Fill of class `k`, the darker the larger its volume; light enough for black text. `turn` picks a shade."""
        depth = 0.45 if len(self) == 1 else 0.2 + 0.4 * k / (len(self) - 1)
        red, green, blue, _ = colormaps["YlGnBu"](depth)
        white = SHADES[turn % len(SHADES)]
        return (red + (1 - red) * white, green + (1 - green) * white, blue + (1 - blue) * white)

    def hatch_colour(self, k: int) -> Colour:
        """A darker tone of class `k` for its hatch, so that the pattern stays behind labels and outlines."""
        red, green, blue = self.colour(k)
        return (0.62 * red, 0.62 * green, 0.62 * blue)


def classes(instance: Instance) -> Classes:
    """Types (whatever their arrival) if at most six, else five groups by volume of about equal number.

    >>> classes(Instance(capacity=5, prompt=[1, 1, 1, 1], output=[3, 1, 1, 3])).labels
    ('prompt 1, output 1 (2 requests)', 'prompt 1, output 3 (2 requests)')
    """
    shapes, of_request = np.unique(np.column_stack((instance.prompt, instance.output)), axis=0, return_inverse=True)
    if len(shapes) <= MAX_CLASSES:
        by_volume = np.argsort(volume(*shapes.T), kind="stable")
        of_request = np.argsort(by_volume)[of_request.reshape(-1)]
        named = [f"prompt {s:,}, output {o:,}" for s, o in shapes[by_volume].tolist()]
    else:
        ordered = np.sort(instance.volume)
        cuts = np.unique(ordered[[k * instance.n // VOLUME_CLASSES for k in range(1, VOLUME_CLASSES)]])
        # Equal volumes stay together; a class left empty by ties is dropped.
        _, of_request = np.unique(np.searchsorted(cuts, instance.volume, side="right"), return_inverse=True)
        spans = [instance.volume[of_request == k] for k in range(int(of_request.max()) + 1)]
        named = [f"volume {int(span.min()):,} to {int(span.max()):,}" for span in spans]
    sizes = np.bincount(of_request).tolist()
    labels = tuple(
        f"{name} ({size:,} request{'s' if size > 1 else ''})" for name, size in zip(named, sizes, strict=True)
    )
    return Classes(of_request, labels)
