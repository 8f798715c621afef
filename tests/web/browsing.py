"""A real browser for tests: contexts by width, scheme, language and the like; what it complains of fails.

One Chromium for each file of tests: while Playwright runs, its thread can run no other event loop, which
other files' tests want.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

FOCUS = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return [at === document.body ? null : at.textContent.trim(), style.outlineStyle, style.outlineWidth];
}"""
"""What has the focus, and how that is shown."""

OVERFLOWING = """() => [...document.querySelectorAll(".scroll")]
  .filter((frame) => frame.scrollWidth > frame.clientWidth)
  .map((frame) => frame.getAttribute("aria-label"))"""
"""Tables that must be scrolled sideways."""

CONTRAST = """() => {
  const drawn = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    drawn.clearRect(0, 0, 1, 1);
    drawn.fillStyle = colour;
    drawn.fillRect(0, 0, 1, 1);
    return [...drawn.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = rgb(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""
"""Words with a contrast below 4.5:1."""

SMALL = """() => {
  const inline = (at) => at.matches("a, summary") && getComputedStyle(at).display === "inline"
    && at.parentElement.textContent.trim() !== at.textContent.trim();
  const box = (at) => at.getBoundingClientRect();
  const targets = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")]
    .filter((at) => at.checkVisibility({ visibilityProperty: true }) && box(at).width > 1);
  const apart = (one) => {
    const circle = (at) => [(box(at).left + box(at).right) / 2, (box(at).top + box(at).bottom) / 2];
    const [x, y] = circle(one);
    return targets.every((other) => {
      if (other === one) return true;
      const [b, [ox, oy]] = [box(other), circle(other)];
      const small = b.width < 24 || b.height < 24;
      const dx = Math.max(b.left - x, 0, x - b.right), dy = Math.max(b.top - y, 0, y - b.bottom);
      return Math.hypot(dx, dy) >= 12 && (!small || Math.hypot(ox - x, oy - y) >= 24);
    });
  };
  const small = (at) => box(at).width < 24 || box(at).height < 24;
  return targets
    .filter((at) => small(at) && !inline(at) && !at.closest("label") && !apart(at))
    .map((at) => `${at.tagName} ${at.textContent.trim()} ${box(at).width | 0}x${box(at).height | 0}`);
}"""
"""Targets below 24 by 24 CSS pixels, neither in a sentence nor far enough from others (WCAG 2.5.8)."""


class Seen(Protocol):
    """A site, and the cookies of who looks at it."""

    url: str
    cookies: dict[str, str]


@dataclass
class Browsing:
    """The browser of one test, and what it complains of."""

    browser: Browser
    said: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)  # patterns of what may be complained of
    contexts: list[BrowserContext] = field(default_factory=list)

    def page(
        self,
        at: "Seen | None" = None,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: str = "light",
        language: str | None = None,
        scripts: bool = True,
        motion: str = "no-preference",
        touch: bool = False,
    ) -> Page:
        """A new page in a context of its own, signed in as `at` is seen; no cookie is shared with others."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]  # light or dark
            locale=language,
            java_script_enabled=scripts,
            reduced_motion=motion,  # type: ignore[arg-type]  # reduce or no-preference
            has_touch=touch,
            is_mobile=touch,
        )
        if at is not None:
            cookies = [{"name": name, "value": value, "url": at.url} for name, value in at.cookies.items()]
            context.add_cookies(cookies)  # type: ignore[arg-type]  # a name, a value and an address do
        self.contexts.append(context)
        return self.heard(context.new_page())

    def heard(self, page: Page) -> Page:
        """The same page; from now on its complaints are listened to."""
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.said.append(dialog.message))
        return page

    def expect(self, *patterns: str) -> None:
        """What may be complained of in this test, as a page that is not there."""
        self.expected += patterns

    def complaints(self) -> list[str]:
        """What the browser said that nobody expected: errors, refused scripts, dialogs."""
        return [text for text in self.said if not any(re.search(one, text) for one in self.expected)]

    def close(self) -> None:
        """Close every page."""
        for context in self.contexts:
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that is closed in the end."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield started
        started.close()


def sign_in(page: Page, url: str, role: str) -> None:
    """Sign in with one click in a role, as a demonstration lets everybody; where nobody must, do nothing."""
    answer = page.goto(f"{url}/sign-in")
    if answer is not None and answer.ok:
        page.locator(f"button[value='{role}']").click()
