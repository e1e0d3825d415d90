"""The gallery in a real browser: links work, everything fits, and the browser complains about nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox import Sandbox, Settings
from cdk_ecrpublic.sandbox.images import build_image, push_image

from .browser import CHROMIUM
from .conftest import REPOSITORY, make_api
from .devtools import Tab, opened
from .gallery import OCI_CONFIG, artifact, attested, helm_chart, sbom, signature, signature_tag

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]

ATTACK = "</title><script>document.title = 'attacked'</script><img src=x onerror=\"document.title='attacked'\">"

SCREENS = [(1280, "light"), (1280, "dark"), (400, "light"), (360, "dark")]

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

OVERFLOWING = """
[...document.querySelectorAll("main *, header *, footer *")]
  .filter(element => !element.closest("pre, .unseen, .digest"))
  .filter(element => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(element => element.outerHTML.slice(0, 200))
"""

CONTRAST = """
(() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1})
    .getContext("2d", {willReadFrequently: true});
  const paint = colors => {
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = rgb => rgb.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("[aria-hidden]")) continue;
    const grounds = [];
    for (let each = element; each; each = each.parentElement) grounds.unshift(getComputedStyle(each).backgroundColor);
    const [a, b] = [paint(grounds), paint([...grounds, getComputedStyle(element).color])].map(light);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(ratio.toFixed(2) + " " + element.outerHTML.slice(0, 120));
  }
  return found;
})()
"""
"""The texts whose contrast is below that of WCAG 2.1, level AA."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with all kinds of content, some of it hostile."""
    with Sandbox(settings=Settings(alias="acme")) as sandbox:
        fill(sandbox)
        yield sandbox


def fill(sandbox: Sandbox) -> None:
    api = make_api(sandbox)
    long = "/".join(["a-long-part-of-a-name"] * 9)
    for name in (REPOSITORY, "charts/agent", "empty", long):
        api.create_repository(repositoryName=name, catalogData={"description": ATTACK, "architectures": ["ARM 64"]})
    for version in ("1.4.1", "1.4.2"):
        index = build_image({"release": version.encode()}, platforms=("linux/amd64", "linux/arm64", "linux/arm/v7"))
        release = attested(index)
        push_image(sandbox, REPOSITORY, release, [version, "latest", "t" * 128])
        push_image(sandbox, REPOSITORY, signature(release), [signature_tag(release)])
        push_image(sandbox, REPOSITORY, sbom(release))
    single = build_image({"release": b"x"})
    push_image(sandbox, REPOSITORY, single, [f"build-{number}" for number in range(120)])
    labels = {"os": "linux", "architecture": "amd64", "rootfs": {}, "config": {"Labels": {ATTACK: ATTACK + "x" * 500}}}
    layer = (b"x", "application/vnd.oci.image.layer.v1.tar+gzip")
    hostile = artifact((json.dumps(labels).encode(), OCI_CONFIG), [layer], annotations={"x" * 300: ATTACK})
    push_image(sandbox, REPOSITORY, hostile)
    push_image(sandbox, "charts/agent", helm_chart(), ["1.4.2"])
    api.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "build-0"}])
    # The journal shows the latest move in full, next to its tag.
    push_image(sandbox, REPOSITORY, single, ["l" * 128])
    api.refusal("describe_images", repositoryName=REPOSITORY, imageIds=[{"imageTag": "y" * 300}])


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    # Not pytest's folder: a socket path has at most 107 bytes, and some process of the browser may still write.
    with tempfile.TemporaryDirectory(prefix="tab-", ignore_cleanup_errors=True) as folder, opened(Path(folder)) as tab:
        yield tab


def assert_good(tab: Tab) -> None:
    """Check that everything fits, can be read, and is harmless."""
    where = tab.evaluate("location.pathname")
    assert (where, tab.evaluate(OVERFLOW), tab.evaluate(OVERFLOWING)) == (where, 0, [])
    assert (where, tab.evaluate(CONTRAST)) == (where, [])
    assert (where, tab.problems) == (where, [])
    assert "attacked" not in tab.evaluate("document.title")
    assert tab.evaluate("document.querySelectorAll('main, header, footer, h1').length") == 4


def walk(tab: Tab, url: str) -> Iterator[str]:
    """Follow the links from the first page to all kinds of pages; yield the heading of each."""
    heading = "document.querySelector('h1').innerText"
    tab.open(url)
    yield tab.evaluate(heading)
    for selector in (
        f"a[href$='/acme/{REPOSITORY}']",
        "a[rel=next]",
        "tr.level-0:has(+ .level-1) .digest",
        "section[aria-labelledby=children] a.digest",
        "section[aria-labelledby=parents] a.digest",
        "section[aria-labelledby=attached] a.digest",
        ".crumbs a:last-of-type",
        "a[href*='show=moves']",
        ".tabs a:first-of-type",
        "nav[aria-label=Main] a",
    ):
        tab.click(selector)
        yield tab.evaluate(heading)


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_all_pages_can_be_reached_and_read(sandbox: Sandbox, tab: Tab, width: int, scheme: str) -> None:
    tab.resize(width, scheme=scheme)
    headings = []

    for heading in walk(tab, f"{sandbox.url}/"):
        assert_good(tab)
        headings.append(heading.split()[0])

    assert headings == [
        "Repositories", f"acme/{REPOSITORY}", f"acme/{REPOSITORY}", "Index", "Image", "Index", "Cosign",
        f"acme/{REPOSITORY}", "Journal", "Journal", "Repositories",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_hostile_content_is_harmless(sandbox: Sandbox, tab: Tab, width: int, scheme: str) -> None:
    tab.resize(width, scheme=scheme)
    for repository in sandbox.store.registry_of(sandbox.account).repositories.values():
        tab.open(f"{sandbox.url}/_sandbox/gallery/acme/{repository.name}")
        assert_good(tab)
        for image in list(repository.all_images())[-3:]:
            tab.open(f"{sandbox.url}/_sandbox/gallery/acme/{repository.name}@{image.digest}")
            assert_good(tab)


def test_forms_filter_what_is_shown(sandbox: Sandbox, tab: Tab) -> None:
    tab.open(f"{sandbox.url}/_sandbox/gallery/acme/{REPOSITORY}")
    tab.evaluate("document.querySelector('input[name=search]').value = 'build-7'")
    tab.click(".search button")
    assert tab.evaluate("document.querySelectorAll('section[aria-labelledby=tags] tbody tr').length") == 11

    tab.open(f"{sandbox.url}/_sandbox/gallery/journal?show=moves")
    tab.evaluate("document.querySelector('select').value = 'charts/agent'")
    tab.click(".search button")
    assert tab.evaluate("document.querySelectorAll('tbody tr').length") == 1
    assert_good(tab)


def test_copying_a_digest_copies_all_of_it(sandbox: Sandbox, tab: Tab) -> None:
    tab.open(f"{sandbox.url}/_sandbox/gallery/acme/{REPOSITORY}")

    shown, text = tab.evaluate(
        "(() => { const e = document.querySelector('.digest'); getSelection().selectAllChildren(e);"
        " return [e.getBoundingClientRect().width, String(getSelection())]; })()"
    )

    assert shown < 200
    assert len(text) == len("sha256:") + 64


def test_an_empty_sandbox_fits_as_well(tab: Tab) -> None:
    with Sandbox() as sandbox:
        for width, scheme in SCREENS:
            tab.resize(width, scheme=scheme)
            tab.open(f"{sandbox.url}/")
            assert_good(tab)


def test_the_browser_reports_violations(sandbox: Sandbox, tab: Tab) -> None:
    tab.resize(400, scheme="light")
    tab.open(f"{sandbox.url}/")
    tab.evaluate("document.querySelector('h1').style.color = '#eee'")
    tab.evaluate(
        "document.querySelector('main').insertAdjacentHTML('beforeend', '<p class=\"host\">' + 'x'.repeat(99))"
    )
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")

    assert tab.evaluate(OVERFLOW) > 0
    assert len(tab.evaluate(CONTRAST)) == 1
    assert "Content Security Policy" in "".join(tab.problems)
