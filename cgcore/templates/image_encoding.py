"""Writes pixels in the formats that mail clients know."""

from __future__ import annotations

import io

from PIL import Image

__all__ = ["HEAVY", "encode"]

HEAVY = 500_000  # bytes


def encode(image: Image.Image, size: tuple[int, int], *, was_photo: bool, heavy: bool) -> tuple[str, bytes]:
    """Return media type and bytes of ``image`` at ``size`` pixels, without metadata.

    With transparency it is PNG; a photo, or what is much lighter as one, JPEG; anything else PNG.
    """
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow cuts them off at white instead of dividing them
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    flat = image.convert("RGBA" if alpha else "RGB")
    if flat.size != size:
        flat = flat.resize(size, Image.Resampling.LANCZOS)
    if alpha:
        return "image/png", _save(flat, "PNG", optimize=True)
    if was_photo:
        return "image/jpeg", _save(flat, "JPEG", quality=85, optimize=True)
    drawn = _save(flat, "PNG", optimize=True)
    photo = _save(flat, "JPEG", quality=88, optimize=True) if heavy or len(drawn) > HEAVY // 4 else b""
    return ("image/jpeg", photo) if photo and len(photo) * 2 < len(drawn) else ("image/png", drawn)


def _save(image: Image.Image, form: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
