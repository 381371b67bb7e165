"""File names on pages."""

import pytest

from media.templatetags.media_names import breakable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sq010_sh0040-v003.mov", "sq010_<wbr>sh0040-<wbr>v003.mov"),
        ("__x", "__<wbr>x"),
        ("x_", "x_"),
        ("<b>_&", "&lt;b&gt;_<wbr>&amp;"),
        ("", ""),
    ],
)
def test_lines_may_break_after_underscores_and_hyphens(name, shown):
    assert breakable(name) == shown
