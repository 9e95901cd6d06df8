"""The image parts of one message: one for each distinct image, as large as its largest place needs.

Stands apart from :mod:`cgcore.templates.images`, which knows one image and no message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cgcore.templates.checks import Code
from cgcore.templates.document import Image
from cgcore.templates.images import (
    ImageFault,
    OpenedImage,
    PreparedImage,
    SourceKind,
    classify,
    decode,
    open_image,
    prepare,
)

__all__ = ["ImageParts", "InlineImage"]

_DECODED_TOGETHER_AT_MOST = 60_000_000  # pixels of all images of a message together


@dataclass(frozen=True, slots=True)
class InlineImage:
    """A part of the message: ``cid`` without angle brackets, media type, shown size in CSS pixels, bytes."""

    cid: str
    type: str
    width: int
    height: int
    data: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the image as API and command line write it: with the number of its bytes."""
        return {
            "cid": self.cid,
            "type": self.type,
            "width": self.width,
            "height": self.height,
            "bytes": len(self.data),
        }


@dataclass(slots=True)
class _Source:
    data: bytes
    opened: OpenedImage | ImageFault
    digest: str
    width: int = 0
    height: int = 0
    prepared: PreparedImage | ImageFault | None = None


@dataclass(slots=True)
class ImageParts:
    """Collects the images of body and signature. :meth:`survey` all of them first: the largest place decides."""

    by_source: dict[str, _Source | ImageFault] = field(default_factory=dict[str, "_Source | ImageFault"])
    by_digest: dict[str, _Source] = field(default_factory=dict[str, _Source])
    parts: dict[str, InlineImage] = field(default_factory=dict[str, InlineImage])
    budget: int = _DECODED_TOGETHER_AT_MOST

    def survey(self, images: Iterable[Image]) -> None:
        """Read the headers of the embedded images, and note the largest size at which each is shown."""
        for image in images:
            if classify(image.src) is not SourceKind.EMBEDDED:
                continue
            source = self.by_source.get(image.src) or self._read(image.src)
            self.by_source[image.src] = source
            if isinstance(source, _Source) and isinstance(source.opened, OpenedImage):
                width, height = source.opened.shown(image.width, image.height)
                source.width, source.height = max(source.width, width), max(source.height, height)

    def _read(self, src: str) -> _Source | ImageFault:
        data = decode(src)
        if data is None:
            return ImageFault.UNREADABLE
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.by_digest:
            self.by_digest[digest] = _Source(data, open_image(data), digest)
        return self.by_digest[digest]

    def take(self, image: Image) -> tuple[InlineImage | None, Code | None]:
        """Return the part for an image at its own shown size, or None, and what there is to say about it."""
        kind = classify(image.src)
        if kind is SourceKind.REMOTE:
            return None, Code.REMOTE_IMAGE
        source = self.by_source.get(image.src)
        if not isinstance(source, _Source):
            return None, Code.UNREADABLE_IMAGE
        prepared = self._prepare(source)
        if isinstance(prepared, ImageFault) or isinstance(source.opened, ImageFault):
            fault = prepared if isinstance(prepared, ImageFault) else source.opened
            return None, Code.IMAGE_TOO_LARGE if fault is ImageFault.TOO_MANY_PIXELS else Code.UNREADABLE_IMAGE
        cid = f"imagen-{source.digest[:20]}@cloud-gestion"
        width, height = source.opened.shown(image.width, image.height)
        here = InlineImage(cid, prepared.type, width, height, prepared.data)
        self.parts.setdefault(cid, here)
        return here, Code.IMAGE_TOO_LARGE if prepared.reduced else None

    def _prepare(self, source: _Source) -> PreparedImage | ImageFault:
        if source.prepared is None:
            source.prepared = self._decode(source)
        return source.prepared

    def _decode(self, source: _Source) -> PreparedImage | ImageFault:
        if isinstance(source.opened, ImageFault):
            return source.opened
        if source.opened.cost > self.budget:
            return ImageFault.TOO_MANY_PIXELS
        self.budget -= source.opened.cost
        return prepare(source.data, source.width, source.height)
