# /// script
# requires-python = ">=3.9"
# dependencies = ["fonttools==4.59.0"]
# ///
"""Cuts the font of plots out of Liberation Sans 2.1.5: printable ASCII and a few signs.

    uv run tools/subset_plot_font.py FOLDER     (or: pip install fonttools==4.59.0, then python3)

FOLDER holds LiberationSans-Regular.ttf and LiberationSans-Bold.ttf, as Debian's package
fonts-liberation2 has them. Their widths are Arial's, so that an SVG which a viewer sets in Arial,
Helvetica or Arimo has the layout that was measured. The licence (SIL OFL 1.1) reserves the name
Liberation, so the cut has another; it lies beside the fonts in benches/assets.
"""

import hashlib
import pathlib
import sys

import fontTools
from fontTools import subset
from fontTools.ttLib import TTFont

FONTTOOLS = "4.59.0"
FOLDER = pathlib.Path(__file__).parent.parent / "benches/assets"
FAMILY = "Visor Plot Sans"
SIGNS = "±·×–—…Δ−≤≥"
SOURCES = {
    "Regular": "8d91388f1d3604b3b8ae0e3ee2d140e50cd6122f9214514f4aca772540a4076d",
    "Bold": "ba0e0dc3f7aca5b0afbc31e800531ee43be3aa79ae35b2ef1f6470a9547765c4",
}


def cut(source: pathlib.Path, style: str) -> TTFont:
    options = subset.Options()
    options.hinting = False
    options.name_IDs = []
    options.notdef_outline = True
    options.drop_tables += ["DSIG", "FFTM", "GDEF", "GPOS", "GSUB"]
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[*range(0x20, 0x7F), *map(ord, SIGNS)])
    subsetter.subset(font)
    names = font["name"]
    names.names = []
    texts = {
        0: "Digitized data copyright (c) 2010 Google Corporation. "
        "Copyright (c) 2012 Red Hat, Inc.",
        1: FAMILY,
        2: style,
        4: f"{FAMILY} {style}",
        6: f"{FAMILY.replace(' ', '')}-{style}",
        13: "SIL Open Font License 1.1, https://openfontlicense.org",
    }
    for number, text in texts.items():
        names.setName(text, number, 3, 1, 0x409)
    # A fixed date, so that the same input gives the same bytes.
    font["head"].created = font["head"].modified = 0
    font.recalcTimestamp = False
    return font


def main() -> None:
    if fontTools.version != FONTTOOLS:
        sys.exit(f"fonttools {fontTools.version}, not {FONTTOOLS}")
    folder = pathlib.Path(sys.argv[1])
    for style, digest in SOURCES.items():
        source = folder / f"LiberationSans-{style}.ttf"
        found = hashlib.sha256(source.read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{source} is not the file of Liberation Sans 2.1.5: {found}")
        target = FOLDER / f"visor-plot-sans-{style.lower()}.ttf"
        cut(source, style).save(target)
        print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
