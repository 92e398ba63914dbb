"""Pictures in notebooks and on slides: png with a palette, which is a third of the size."""

from __future__ import annotations

import io

from PIL import Image


def with_palette(picture: bytes, colours: int) -> bytes:
    """A png in at most so many colours, without metadata; the same bytes for the same pixels."""
    image = Image.open(io.BytesIO(picture)).convert("RGBA")
    on_white = Image.new("RGBA", image.size, "white")
    on_white.alpha_composite(image)
    few = on_white.convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    written = io.BytesIO()
    few.save(written, format="PNG", optimize=True)
    return written.getvalue() if len(written.getvalue()) < len(picture) else picture
