"""Images of a template: read from data URIs, checked, and made into the bytes that a mail carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from PIL import Image, ImageOps

from cgcore.templates.image_encoding import HEAVY, encode

__all__ = ["ImageFault", "OpenedImage", "PreparedImage", "SourceKind", "classify", "decode", "open_image", "prepare"]

SHOWN_AT_MOST = 600  # CSS pixels: the width of the mail's text
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "ICO")
_MAIL_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif"}
_DATA_URI = re.compile(r"data:image/([a-z0-9.+\-]+)(?:;[^,;]*)*;base64,", re.I)
_JPEG_SCALES = (8, 4, 2, 1)  # libjpeg can decode at a fraction of the size, for less work and memory
_DECODED_AT_MOST = 30_000_000  # pixels of one image
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
    """An image whose header was read: its natural size, turned as it is seen, and the work to decode it."""

    width: int
    height: int
    cost: int

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
    try:
        with _open(data) as image:
            width, height = image.size
            turned = _exif(image)[0] >= 5
            cost = _cost(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return ImageFault.TOO_MANY_PIXELS
    except Exception:  # Pillow's readers raise whatever a broken file makes them stumble over
        return ImageFault.UNREADABLE
    if not width or not height:
        return ImageFault.UNREADABLE
    if cost > _DECODED_AT_MOST:
        return ImageFault.TOO_MANY_PIXELS
    return OpenedImage(*((height, width) if turned else (width, height)), cost)


def _cost(image: Image.Image) -> int:
    """Return the work and memory that decoding takes, in pixels."""
    width, height = image.size
    pixels = width * height
    if image.format not in ("JPEG", "MPO"):
        return pixels
    if image.info.get("progressive"):
        return pixels // 2  # its coefficients are in memory as a whole, at whatever scale
    needed = 2 * min(1.0, SHOWN_AT_MOST / width) * max(width, height)
    scale = next((scale for scale in _JPEG_SCALES if scale * needed <= min(width, height)), 1)
    return pixels // 8 + pixels // scale**2


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(data), formats=_FORMATS)


@lru_cache(maxsize=16)
def prepare(data: bytes, width: int, height: int) -> PreparedImage | ImageFault:
    """Return the part for an image shown at ``width`` × ``height`` CSS pixels.

    PNG, JPEG and GIF stay as they are; other formats become PNG or JPEG, an image with more than twice the shown
    pixels is resampled (mail clients on fine screens use the double), a turned photo is turned, and where it was
    taken is removed.
    """
    try:
        with _open(data) as image:
            return _prepare(image, data, width, height)
    except Exception:  # as above: a broken file, found out while its pixels are read
        return ImageFault.UNREADABLE


def _prepare(image: Image.Image, data: bytes, width: int, height: int) -> PreparedImage:
    form = "JPEG" if image.format == "MPO" else image.format or ""
    orientation, placed = _exif(image)
    turned = orientation >= 5
    natural = (image.size[1], image.size[0]) if turned else image.size
    target = min(natural[0], 2 * width), min(natural[1], 2 * height)
    if form == "JPEG" and target != natural:
        image.draft("RGB", (max(target), max(target)))
    image.load()
    reduced = target != natural
    animated = getattr(image, "n_frames", 1) > 1
    keep = form in _MAIL_TYPES and not reduced and orientation == 1 and not placed
    if keep and (len(data) <= HEAVY or animated) and image.mode != "CMYK":
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    image = ImageOps.exif_transpose(image) if orientation != 1 else image
    kind, written = encode(image, target, was_photo=form == "JPEG", heavy=len(data) > HEAVY)
    if keep and len(written) >= len(data):
        return PreparedImage(_MAIL_TYPES[form], data, reduced=False)
    return PreparedImage(kind, written, reduced=reduced or len(data) > HEAVY)


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
