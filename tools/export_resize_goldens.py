# /// script
# requires-python = ">=3.9"
# dependencies = ["pillow==11.3.0"]
# ///
"""Exports what Pillow makes of small synthetic pictures, for visor-processor's resize tests.

    uv run tools/export_resize_goldens.py        (or: pip install pillow==11.3.0, then python3)

Pillow 13 changed the order of the two passes for some shapes, so the version is checked. The
pictures come from a formula that the tests repeat; only digests of the results are stored, and the
results themselves where they are small, so that a difference can be looked at.
"""

import hashlib
import pathlib

import PIL
from PIL import Image

PILLOW = "11.3.0"
FOLDER = pathlib.Path(__file__).parent.parent / "crates/visor-processor/tests/goldens"
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Source width and height, then the target's.
SHAPES = [
    (1, 1, 7, 5), (7, 5, 1, 1), (2, 2, 3, 3), (3, 3, 2, 2), (1, 40, 9, 17), (40, 1, 17, 9),
    (8, 8, 8, 8), (8, 8, 8, 19), (8, 8, 19, 8), (12, 9, 16, 16), (20, 31, 16, 16),
    (1, 1000, 32, 32), (1000, 1, 32, 32), (5000, 3, 24, 24), (3, 5000, 24, 24), (500, 20, 32, 48),
    (33, 333, 64, 64), (333, 33, 64, 64), (97, 61, 61, 97), (200, 150, 64, 64), (64, 48, 224, 224),
    (224, 224, 64, 64), (384, 256, 384, 384), (640, 480, 512, 512), (255, 257, 256, 256),
]
RANDOM_SHAPES = 40
SMALL = 20


class Lcg:
    """32-bit linear congruential generator; the top byte is the output."""

    def __init__(self, seed):
        self.state = seed

    def byte(self):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return self.state >> 24


def noise(width, height):
    lcg = Lcg(width * 65536 + height)
    return bytes(lcg.byte() for _ in range(width * height * 3))


def waves(width, height):
    """Smooth: triangle waves of another slope in each channel."""
    levels = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(3):
                v = (x * (c + 2) + y * (4 - c) + 40 * c) % 510
                levels.append(min(v, 510 - v))
    return bytes(levels)


def boxes(width, height):
    """Hard edges, so that filters overshoot and are clipped."""
    levels = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(3):
                levels.append(255 * ((x // (3 + c) + y // (5 - c)) % 2))
    return bytes(levels)


PATTERNS = {"noise": noise, "waves": waves, "boxes": boxes}


def random_shapes():
    lcg = Lcg(20240607)

    def side():
        # Mostly small, sometimes long.
        return 1 + lcg.byte() % 100 + (lcg.byte() % 4 == 0) * 2 * lcg.byte()

    return [(side(), side(), side(), side()) for _ in range(RANDOM_SHAPES)]


def main():
    if PIL.__version__ != PILLOW:
        raise SystemExit(f"expected Pillow {PILLOW}, found {PIL.__version__}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.png"):
        old.unlink()
    lines = ["# pattern source-size target-size filter sha256-of-RGB (tools/export_resize_goldens.py)"]
    for width, height, to_width, to_height in SHAPES + random_shapes():
        for pattern, make in PATTERNS.items():
            source = Image.frombytes("RGB", (width, height), make(width, height))
            for name, resample in FILTERS.items():
                result = source.resize((to_width, to_height), resample)
                digest = hashlib.sha256(result.tobytes()).hexdigest()
                lines.append(f"{pattern} {width}x{height} {to_width}x{to_height} {name} {digest}")
                if pattern == "noise" and max(to_width, to_height) <= SMALL:
                    file = f"{pattern}-{width}x{height}-{to_width}x{to_height}-{name}.png"
                    result.save(FOLDER / file, optimize=True)
    (FOLDER / "resize.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
