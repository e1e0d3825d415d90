"""
Signatures of images: their formats, where they are found, and who makes them.

AWS signs and verifies. This package assembles and parses formats, and computes
SHA digests. Nothing that a signature says is believed before it was verified.
"""

from .find import Place, claims_on, place_of
from .keys import Key, open_key
from .signing import Signature, Signing

__all__ = ["Key", "Place", "Signature", "Signing", "claims_on", "open_key", "place_of"]
