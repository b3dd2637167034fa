"""Plain SVG for the plots of the docs, legible on light and dark pages."""

from collections.abc import Sequence
from html import escape

_STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.small { font-size: 11px; fill: #57606a; }
.ours { fill: #1f6feb; } .theirs { fill: #8c959f; } .floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2; }
.line { fill: none; stroke-width: 1.5; } .frame { stroke: #8c959f; stroke-width: 1; fill: none; }
.first { stroke: #1f6feb; } .second { stroke: #bf5700; }
.third { fill: #bf5700; } .fourth { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; } .ours { fill: #4493f8; }
  .first { stroke: #4493f8; } .second { stroke: #f0883e; }
  .third { fill: #f0883e; } .fourth { fill: #3fb950; }
}
</style>"""

WIDTH, NAMES, BAR, TITLE = 860, 270, 300, 34  # of a page; of its columns of names and bars; of a title (pixels)


def curve(top: int, title: str, xs: Sequence[float], ys: Sequence[float], kind: str) -> list[str]:
    """Draw a curve from zero up, under its title."""
    highest, last = max(ys) * 1.05 or 1.0, max(xs) or 1.0
    points = " ".join(
        f"{10 + 760 * x / last:.1f},{top + 130 - 110 * y / highest:.1f}" for x, y in zip(xs, ys, strict=True)
    )
    return [
        text(10, top + 12, f"{title}: lowest {min(ys):.0f}, highest {max(ys):.0f}"),
        f'<rect class="frame" x="10" y="{top + 20}" width="760" height="110"/>',
        f'<polyline class="line {kind}" points="{points}"/>',
    ]


def bar(top: float, share: float, kind: str, words: str, name: str = "") -> list[str]:
    """Draw a bar of a share of the widest, its name before and words behind it."""
    width = max(1.0, BAR * share)
    return [
        text(0, top + 12, name),
        f'<rect class="{kind}" x="{NAMES}" y="{top:.0f}" width="{width:.1f}" height="15" rx="2"/>',
        text(NAMES + width + 8, top + 12, words, "small"),
    ]


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Write words at a place."""
    return f'<text{f" class={kind!r}" if kind else ""} x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'.replace("'", '"')


def svg(height: float, parts: Sequence[str], title: str) -> str:
    """Make the whole picture."""
    box = f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    return "\n".join([head, _STYLE, *parts, "</svg>", ""])
