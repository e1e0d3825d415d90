"""The declaration of an image, and the properties that carry it."""

from .codec import RESOURCE_TYPE, Property, as_sent, decode, encode
from .declaration import Declaration

__all__ = ["RESOURCE_TYPE", "Declaration", "Property", "as_sent", "decode", "encode"]
