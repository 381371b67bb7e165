"""Bytes in templates as everywhere in the speed test: decimal."""

from django import template

from shotmedia.s3.probe_judgements import size_text

register = template.Library()


@register.filter
def bytes_text(size: int) -> str:
    """A number of bytes for people: "67 MB"."""
    return size_text(size)
