"""Images of a template: read from data URIs, checked, and made into the bytes that a mail carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from urllib.parse import unquote_to_bytes

from PIL import Image, PngImagePlugin

from cgcore.templates.budget import DECODING

__all__ = [
    "HEAVY",
    "ImageFault",
    "OpenedImage",
    "PreparedImage",
    "SourceKind",
    "classify",
    "decode",
    "encode",
    "open_image",
    "prepare",
]

HEAVY = 500_000  # bytes


def encode(
    image: Image.Image, size: tuple[int, int], *, was_photo: bool, heavy: bool, orientation: int = 1
) -> tuple[str, bytes]:
    """Return media type and bytes of ``image``, shrunk to ``size`` pixels and then turned, without metadata.

    With transparency it is PNG; a photo, or what is much lighter as one, JPEG; anything else PNG. ``orientation`` is
    the one of EXIF, 1 to 8.
    """
    flat = _shrink(image, size)
    if orientation != 1:
        flat = flat.transpose(_TURNS[orientation])
    if flat.mode == "RGBA":
        return "image/png", _save(flat, "PNG", optimize=True)
    if was_photo:
        return "image/jpeg", _save(flat, "JPEG", quality=85, optimize=True)
    drawn = _save(flat, "PNG", optimize=True)
    photo = _save(flat, "JPEG", quality=88, optimize=True) if heavy or len(drawn) > HEAVY // 4 else b""
    return ("image/jpeg", photo) if photo and len(photo) * 2 < len(drawn) else ("image/png", drawn)


# EXIF 2.32, tag 0x0112: what brings the stored picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP = 1_000_000  # pixels converted at a time


def _shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return ``image`` at ``size`` in RGB or RGBA, converted strip by strip: only its own form is in memory whole.

    A palette of one byte a pixel would take four, and with the steps of a good reduction sixteen.
    """
    mode = "RGBA" if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info else "RGB"
    factor = max(1, min(image.width // size[0], image.height // size[1]))
    rows = max(1, _STRIP // (image.width * factor)) * factor
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        strip = _flatten(image.crop((0, top, image.width, min(image.height, top + rows))), mode)
        small.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return small if small.size == size else small.resize(size, Image.Resampling.LANCZOS)


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow cuts them off at white instead of dividing them
        image = image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    return image.convert(mode)


def _save(image: Image.Image, form: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


SHOWN_AT_MOST = 600  # CSS pixels: the width of the mail's text
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "ICO")
_MAIL_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}
_DATA_URI = re.compile(r"data:image/([a-z0-9.+\-]+)(?:;[^,;]*)*;base64,", re.I)
_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg can decode at a fraction of the size, for less work and memory
_DECODED_AT_MOST = 30_000_000  # pixels of one image that libjpeg decodes at a fraction of its size
_DECODED_WHOLE_AT_MOST = 20_000_000  # pixels of one image that can only be decoded whole
_SENT_AT_MOST = 4_000_000  # pixels
# Bytes a pixel that Pillow keeps; WebP has a canvas of its own before and after each frame.
_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
_WEBP_BYTES, _PROGRESSIVE_BYTES, _ICON_BYTES = 12, 6, 4
# What the texts beside the pixels of a PNG may unpack to; Pillow would take 64 MB.
_TEXTS_AT_MOST = 2**22
_ORIENTATION, _GPS = 0x0112, 0x8825


class SourceKind(Enum):
    """Where an image's address points."""

    EMBEDDED = "embedded"
    REMOTE = "remote"
    NOWHERE = "nowhere"


class ImageFault(Enum):
    """Why there are no bytes."""

    UNREADABLE = "unreadable"
    TOO_MANY_PIXELS = "too_many_pixels"


@dataclass(frozen=True, slots=True)
class OpenedImage:
    """An image whose header was read: its natural size, turned as it is seen, and what it takes to decode it.

    ``cost`` is the work, in pixels; ``memory`` in bytes.
    """

    width: int
    height: int
    cost: int
    memory: int

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in CSS pixels for the attributes given (0: absent), never wider than the mail's text."""
        if width and not height:
            height = round(self.height * width / self.width)
        elif height and not width:
            width = round(self.width * height / self.height)
        elif not width:
            width, height = self.width, self.height
        if width > SHOWN_AT_MOST:
            width, height = SHOWN_AT_MOST, round(height * SHOWN_AT_MOST / width)
        return max(1, width), max(1, height)


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The part of the mail: media type and bytes, and whether the image was made smaller."""

    type: str
    data: bytes
    reduced: bool

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def classify(src: str) -> SourceKind:
    """Say what kind of address ``src`` is; only embedded images are sent, and nothing is ever fetched."""
    head = src[:40].strip().lower()
    if head.startswith(("http:", "https:")) or (head.startswith("//") and not head.startswith("//:")):
        return SourceKind.REMOTE
    return SourceKind.EMBEDDED if head.startswith("data:") else SourceKind.NOWHERE


def decode(src: str) -> bytes | None:
    """Return the bytes of a ``data:image/…;base64,`` address (RFC 2397), or None when there are none."""
    match = _DATA_URI.match(src)
    if not match or "svg" in match.group(1).lower():
        return None
    encoded = unquote_to_bytes(src[match.end() :]) if "%" in src else src[match.end() :].encode("ascii", "ignore")
    compact = b"".join(encoded.split()).rstrip(b"=")
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True) or None
    except (ValueError, binascii.Error):
        return None


@lru_cache(maxsize=16)
def open_image(data: bytes) -> OpenedImage | ImageFault:
    """Read the header of an image; the pixels stay where they are."""
    inside = _find_icon_pixels(data)
    if inside > _DECODED_WHOLE_AT_MOST:
        return ImageFault.TOO_MANY_PIXELS
    try:
        # Pillow decodes an icon as soon as it opens it.
        with DECODING.hold(inside * _ICON_BYTES), _open(data) as image:
            width, height = _size(image, data)
            turned = _exif(image)[0] >= 5
            cost, memory = _cost(image, width, height, in_scans=_has_many_scans(data))
            whole = image.format not in _SCALABLE
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return ImageFault.TOO_MANY_PIXELS
    except Exception:  # Pillow's readers raise whatever a broken file makes them stumble over
        return ImageFault.UNREADABLE
    if not width or not height:
        return ImageFault.UNREADABLE
    if cost > (_DECODED_WHOLE_AT_MOST if whole else _DECODED_AT_MOST) or memory > DECODING.total:
        return ImageFault.TOO_MANY_PIXELS
    return OpenedImage(*((height, width) if turned else (width, height)), cost, memory)


_SCALABLE = ("JPEG", "MPO")


def _size(image: Image.Image, data: bytes) -> tuple[int, int]:
    """Return the size in pixels; an icon's directory says 256 at most, whatever the picture inside really is."""
    width, height = image.size
    if image.format != "ICO":
        return width, height
    for match in re.finditer(rb"\x89PNG\r\n\x1a\n.{4}IHDR(.{4})(.{4})", data, re.S):
        width, height = (
            max(old, int.from_bytes(new)) for old, new in zip((width, height), match.groups(), strict=True)
        )
    return width, height


_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_ICON_HEAD = b"\x00\x00\x01\x00"


def _find_icon_pixels(data: bytes) -> int:
    """Return the pixels of the largest picture in an icon, by the picture's own header; 0 for what is no icon."""
    if not data.startswith(_ICON_HEAD):
        return 0
    largest = 0
    for number in range(int.from_bytes(data[4:6], "little")):
        begin = int.from_bytes(data[18 + 16 * number : 22 + 16 * number], "little")
        head = data[begin : begin + 24]
        if head.startswith(_PNG_HEAD):
            width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
        elif head[:4] == b"\x0c\x00\x00\x00":  # BITMAPCOREHEADER
            width, height = int.from_bytes(head[4:6], "little"), int.from_bytes(head[6:8], "little") // 2
        else:  # its height counts the mask as well
            width, height = (abs(int.from_bytes(head[at : at + 4], "little", signed=True)) for at in (4, 8))
            height //= 2
        largest = max(largest, width * height)
    return largest


def _has_many_scans(data: bytes) -> bool:
    """Return whether the first scan of a JPEG leaves components out (ITU T.81, B.2.3): all is kept then until the last.

    What cannot be followed is taken for the worse.
    """
    at, components = 2, 0
    while data.startswith(b"\xff\xd8") and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _SCAN:
            return data[at + 4] < components
        if marker in _FRAMES:
            components = data[at + 9]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4])
    return data.startswith(b"\xff\xd8")


_SCAN, _FRAMES = 0xDA, frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})


def _cost(image: Image.Image, width: int, height: int, *, in_scans: bool) -> tuple[int, int]:
    """Return the work (pixels) and the memory (bytes) that decoding takes."""
    pixels = width * height
    if image.format == "WEBP":
        return pixels, pixels * _WEBP_BYTES
    if image.format not in _SCALABLE:
        return pixels, pixels * _BYTES.get(image.mode, 4)
    if in_scans or image.info.get("progressive"):
        # Its coefficients are in memory as a whole, at whatever scale.
        return pixels // 2, pixels * _PROGRESSIVE_BYTES
    needed = 2 * min(1.0, SHOWN_AT_MOST / width) * max(width, height)
    scale = next((scale for scale in _JPEG_SCALES if scale * needed <= min(width, height)), 1)
    return pixels // 8 + pixels // scale**2, 4 * pixels // scale**2


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PngImagePlugin.MAX_TEXT_MEMORY = _TEXTS_AT_MOST
        return Image.open(io.BytesIO(data), formats=_FORMATS)


@lru_cache(maxsize=16)
def prepare(data: bytes, width: int, height: int) -> PreparedImage | ImageFault:
    """Return the part for an image shown at ``width`` × ``height`` CSS pixels.

    PNG, JPEG and GIF stay as they are; other formats become PNG or JPEG, an image with more than twice the shown
    pixels is resampled (mail clients on fine screens use the double), a turned photo is turned, and where it was
    taken is removed.
    """
    opened = open_image(data)
    if isinstance(opened, ImageFault):
        return opened
    return _workers().submit(_read_pixels, data, opened.memory, width, height).result()


@cache
def _workers() -> ThreadPoolExecutor:
    # Two threads decode for all others: the C library keeps memory for each thread that ever held pixels.
    return ThreadPoolExecutor(2, thread_name_prefix="pixels")


def _read_pixels(data: bytes, memory: int, width: int, height: int) -> PreparedImage | ImageFault:
    try:
        with DECODING.hold(memory), _open(data) as image:
            return _prepare(image, data, width, height)
    except Exception:  # as above: a broken file, found out while its pixels are read
        return ImageFault.UNREADABLE


def _prepare(image: Image.Image, data: bytes, width: int, height: int) -> PreparedImage:
    form = "JPEG" if image.format == "MPO" else image.format or ""
    orientation, placed = _exif(image)
    shown = (height, width) if orientation >= 5 else (width, height)  # as the file has it, before it is turned
    natural = image.size
    target = _bounded((min(natural[0], 2 * shown[0]), min(natural[1], 2 * shown[1])))
    if form == "JPEG" and target != natural:
        image.draft("RGB", target)
    image.load()
    reduced = target != natural
    # Not how many: to count them, Pillow walks through them all.
    animated = getattr(image, "is_animated", False)
    keep = form in _MAIL_TYPES and not reduced and orientation == 1 and not placed
    if keep and (len(data) <= HEAVY or animated) and image.mode != "CMYK":
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    kind, written = encode(image, target, was_photo=form == "JPEG", heavy=len(data) > HEAVY, orientation=orientation)
    if keep and len(written) >= len(data):
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    return PreparedImage(kind, written, reduced=reduced or len(data) > HEAVY)


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return ``size``, or the largest of the same shape that a mail needs: a very tall picture is coarser."""
    share = (_SENT_AT_MOST / (size[0] * size[1])) ** 0.5
    return size if share >= 1 else (max(1, int(size[0] * share)), max(1, int(size[1] * share)))


def _exif(image: Image.Image) -> tuple[int, bool]:
    """Return how the image is turned (1 to 8), and whether it says where it was taken, or may."""
    if "exif" not in image.info:
        return 1, False
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
    except Exception:  # broken metadata, of which Pillow raises whatever it stumbles over, is no reason to lose a photo
        return 1, True
    return orientation if orientation in range(1, 9) else 1, _GPS in exif
