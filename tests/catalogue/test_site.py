"""``hubstack site``: pages whose every link leads somewhere, made of what the registry has, in a folder of others."""

from __future__ import annotations

import errno
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.catalogue.html import Document, read
from tests.catalogue.market import MINIMAL, SCIPY, Market

COURSE = "quay.example/a/course:1@sha256:" + "5" * 64


@pytest.fixture(scope="module")
def site(published: Market) -> Path:
    assert published.type("site", "--output", "site").code == 0
    return published.folder / "site"


def pages(site: Path) -> dict[str, Document]:
    return {path.relative_to(site).as_posix(): read(path.read_text()) for path in sorted(site.rglob("*.html"))}


def data(site: Path) -> dict[str, Any]:
    """catalogue.json's images, by the path of their page."""
    return {image["page"]: image for image in json.loads((site / "catalogue.json").read_text())["images"]}


def content(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}


# --- pages -----------------------------------------------------------------------------------------------------------------------


def test_a_page_for_each_image_and_an_index(site: Path) -> None:
    assert list(pages(site)) == [
        f"elsewhere/{'5' * 16}.html",
        "images/minimal/default.html",
        "images/scipy/default.html",
        "images/tools/default.html",
        "index.html",
    ]
    titles = [one.text for one in pages(site)["index.html"].all("h2")]
    assert titles == ["Minimal", "Scientific Python", "The course & more", "Tools", "What stands on what"]


def test_pages_are_well_formed(site: Path) -> None:
    for path, page in pages(site).items():
        assert page.faults == [], path
        (html,) = page.all("html")
        assert html.attributes["lang"] == "en"
        assert [one.attributes["content"] for one in page.all("meta") if one.attributes.get("name") == "viewport"]
        assert len(page.all("h1")) == 1
        assert all(one.attributes.get("alt") for one in page.all("img"))


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path, page in pages(site).items():
        for address in page.addresses:
            target = urlsplit(address)
            if target.scheme == "data":
                continue
            if target.netloc:
                assert target.netloc == "hub.example.org", address
                continue
            place = (site / path).parent / unquote(target.path) if target.path else site / path
            assert place.is_file(), f"{path}: {address}"
            assert not target.fragment or target.fragment in page.ids
        loaded = [one.attributes[name] for one in page.elements for name in ("src", "srcset") if name in one.attributes]
        loaded += [one.attributes["href"] for one in page.all("link")]
        assert not [address for address in loaded if urlsplit(address).netloc], path
    assert "url(" not in (site / "style.css").read_text()
    assert "@import" not in (site / "style.css").read_text()
    assert "http" not in (site / "search.js").read_text()


def test_no_script_but_the_search(site: Path) -> None:
    for path, page in pages(site).items():
        scripts = [one.attributes.get("src") or one.attributes.get("type") for one in page.all("script")]
        assert scripts == (["application/json", "search.js"] if path == "index.html" else [])
        assert not [name for one in page.elements for name in one.attributes if name.startswith("on")]


def test_an_images_page_says_what_there_is_to_know(site: Path, published: Market) -> None:
    page = pages(site)["images/scipy/default.html"]
    image = data(site)["images/scipy/default.html"]
    text = " ".join(page.all("main")[0].text.split())
    for said in (image["ref"], image["digest"], image["fingerprint"], "2026-11-16", "NumPy and pandas", "latest"):
        assert str(said) in text
    rows = [row.text for row in page.all("tr")]
    assert "numpy2.3.5scipy" in rows
    assert "six1.17.0scipy" in rows
    registry = published.registry
    assert image["ref"] == (
        f"{registry.host}/x/scipy:default-{str(image['fingerprint'])[:12]}@{registry.repository('x/scipy').tags['default-latest']}"
    )


def test_it_says_on_which_day_it_was_built(site: Path) -> None:
    built = data(site)["images/scipy/default.html"]["built"]
    assert datetime.now(UTC).date() - date.fromisoformat(built) <= timedelta(days=1)
    assert f"Built{built}" in pages(site)["images/scipy/default.html"].all("main")[0].text
    assert f"built {built}" in pages(site)["index.html"].all("main")[0].text


def test_a_hub_that_offers_it_has_a_link_that_opens_the_launcher_with_it(site: Path) -> None:
    (start,) = data(site)["images/scipy/default.html"]["hubs"]
    assert start["login"].startswith("https://hub.example.org/hub/login?next=")
    assert start["login"] in pages(site)["images/scipy/default.html"].addresses
    assert start["login"] in pages(site)["index.html"].addresses
    assert unquote(start["launcher"]) == (
        'https://hub.example.org/hub/spawn#fancy-forms-config={"profile":"python","image":"scipy","resources":"large"}'
    )
    assert data(site)["images/tools/default.html"]["hubs"] == []


def test_a_profile_for_some_says_so(site: Path) -> None:
    assert "only for students" in pages(site)["images/minimal/default.html"].all("main")[0].text


def test_an_image_that_is_built_elsewhere_has_its_name_and_its_links(site: Path) -> None:
    path = f"elsewhere/{'5' * 16}.html"
    assert COURSE in [one.text for one in pages(site)[path].all("pre")]
    assert data(site)[path]["packages"] == []
    assert data(site)[path]["size_bytes"] is None


def test_contents_are_opened_only_where_nbgitpuller_is(published: Market, tmp_path: Path) -> None:
    url = "https://github.com/example/course.git#main:week 1.ipynb".replace(" ", "_")
    published.write("profiles/all.yaml", "configmap: {name: b, namespace: b}\nhub: {pull_secret: none}\nprofiles: [{slug: a, title: A, stacks: ['*']}]\n")  # fmt: skip
    try:
        done = published.type("site", "--output", str(tmp_path / "site"), "--contents", url)
    finally:
        (published.folder / "profiles/all.yaml").unlink()
    assert "warning: all has no address, so its links work on its own host alone" in done.err
    images = data(tmp_path / "site")
    assert [hub["contents"] for hub in images["images/scipy/default.html"]["hubs"]] == [None, None]
    (hub,) = images["images/tools/default.html"]["hubs"]
    once = unquote(unquote(unquote(hub["contents"])))
    assert "/hub/user-redirect/git-pull?repo=https://github.com/example/course.git&branch=main" in once
    assert "urlpath=lab/tree/course/week_1.ipynb" in once
    assert "only on the hub's own host" in pages(tmp_path / "site")["images/tools/default.html"].all("main")[0].text


@pytest.mark.parametrize("text", ["course", "git@example.org:a/b", "file:///etc", "https://a.org/b c"])
def test_contents_are_an_address(published: Market, text: str) -> None:
    done = published.type("site", "--output", "unused", "--contents", text)
    assert done.code == 2
    assert "is no address of a git repository" in done.err
    assert not (published.folder / "unused").exists()


# --- what changed ------------------------------------------------------------------------------------------------------------------


def test_what_changed_since_the_image_before(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.write("layers/python/apt.txt", "python3\n")
    market.publish("minimal", {"python": {"pip": "26.0", "uv": "0.9"}, "debian": MINIMAL["debian"]})
    assert market.type("site", "--output", "site").code == 0
    since = data(market.folder / "site")["images/minimal/default.html"]["since"]
    assert [(one["package"], one["was"], one["now"]) for one in since["changes"]] == [
        ("JupyterLab", "4.5.1", ""),
        ("pip", "25.1", "26.0"),
        ("uv", "", "0.9"),
    ]
    tags = set(market.registry.repository("x/minimal").tags) - {"default-latest"}
    assert since["tag"] in tags
    text = " ".join(pages(market.folder / "site")["images/minimal/default.html"].all("main")[0].text.split())
    assert "1 in another version, 1 new, 1 gone" in text


def test_the_image_before_is_the_one_that_was_built_before(market: Market) -> None:
    """And not the one before that, which has more in common with it. Built again from what it was, it stays what it was."""
    market.publish("minimal", MINIMAL)
    for packages, text in (({"python": {"pip": "1"}}, "one\n"), (MINIMAL, "two\n"), (MINIMAL, "two\n")):
        market.write("layers/python/apt.txt", text)
        market.publish("minimal", packages)
    assert market.type("site", "--output", "site").code == 0
    since = data(market.folder / "site")["images/minimal/default.html"]["since"]
    assert ("pip", "1", "25.1") in [(one["package"], one["was"], one["now"]) for one in since["changes"]]


def test_what_a_hub_was_last_given_is_the_image_before(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    (market.folder / "profiles/demo.yaml").write_text(
        "configmap: {name: a, namespace: a}\nhub: {pull_secret: none}\nprofiles: [{slug: a, title: A, stacks: [minimal]}]\n"
    )
    assert market.type("profiles").code == 0
    given = set(market.registry.repository("x/minimal").tags) - {"default-latest"}
    for number in (1, 2):  # the second is nearer to the first than to what the hub has
        market.write("layers/python/apt.txt", f"python3\npackage{number}\n")
        market.publish("minimal", {"python": {"pip": f"26.{number}"}})
    assert market.type("site", "--output", "site").code == 0
    assert {data(market.folder / "site")["images/minimal/default.html"]["since"]["tag"]} == given


def test_two_channels_with_two_images_are_two_pages(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.write("layers/python/apt.txt", "python3\n")
    market.write("profiles/demo.yaml", (market.folder / "profiles/demo.yaml").read_text() + "follow: next\n")
    market.publish("minimal", MINIMAL, channel="next")
    assert market.type("site", "--output", "site").code == 0
    images = data(market.folder / "site")
    assert images["images/minimal/default.html"]["channels"] == ["latest"]
    assert images["images/minimal/default.html"]["hubs"] == []
    assert images["images/minimal/default/next.html"]["channels"] == ["next"]
    assert len(images["images/minimal/default/next.html"]["hubs"]) == 2
    assert all(page.faults == [] for page in pages(market.folder / "site").values())


def test_a_hub_that_is_promoted_to_offers_what_it_was_given(market: Market) -> None:
    """And not what the hub has by now that it takes its images from."""
    hub = "configmap: {{name: {0}, namespace: {0}}}\nhub: {{pull_secret: none}}\nprofiles: [{{slug: a, title: A, stacks: [minimal]}}]\n"
    market.write("profiles/demo.yaml", hub.format("demo"))
    market.publish("minimal", MINIMAL)
    assert market.type("profiles").code == 0
    market.write("profiles/prod.yaml", hub.format("prod") + "promoted_from: demo\n")
    emitted = market.folder / "profiles/emitted"
    (emitted / "prod.yaml").write_text((emitted / "demo.yaml").read_text())
    market.write("layers/python/apt.txt", "python3\n")
    market.publish("minimal", {"python": {"pip": "26.0"}})
    assert market.type("site", "--output", "site").code == 0
    images = data(market.folder / "site")
    offered = {
        image["packages"][0]["version"]: [hub["hub"] for hub in image["hubs"]]
        for image in images.values()
        if image["packages"][0]["manager"] == "python"
    }
    assert offered == {"26.0": ["demo"]}
    (older,) = [image for image in images.values() if not image["channels"]]
    assert [hub["hub"] for hub in older["hubs"]] == ["prod"]
    assert {one["name"]: one["version"] for one in older["packages"]}["pip"] == "25.1"


def test_no_hub_starts_what_was_withdrawn(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    digest = market.registry.repository("x/minimal").tags["default-latest"]
    text = (market.folder / "profiles/demo.yaml").read_text()
    market.write("profiles/demo.yaml", f"{text}withdrawn: [{{digest: '{digest}', reason: a leak}}]\n")
    assert market.type("site", "--output", "site").code == 0
    image = data(market.folder / "site")["images/minimal/default.html"]
    assert (image["digest"], image["hubs"], image["withdrawn"]) == (digest, [], "a leak")
    assert "withdrawn: a leak" in pages(market.folder / "site")["images/minimal/default.html"].all("main")[0].text


def test_a_registry_with_one_repository_for_all(market: Market) -> None:
    market.write("hubstack.yaml", "layout: single\n")
    market.publish("minimal", MINIMAL)
    market.publish("scipy", SCIPY)
    market.write("layers/scipy/apt.txt", "git\n")
    market.publish("scipy", {"python": {"numpy": "2.3.5"}})
    assert market.type("site", "--output", "site").code == 0
    images = data(market.folder / "site")
    assert images["images/minimal/default.html"]["since"] is None
    since = images["images/scipy/default.html"]["since"]
    assert since["tag"].startswith("scipy-default-")
    assert len(since["changes"]) == len(SCIPY["python"]) + len(SCIPY["debian"]) - 1


# --- the folder --------------------------------------------------------------------------------------------------------------------


def test_the_same_bytes_wherever_and_whenever(site: Path, published: Market, tmp_path: Path) -> None:
    before = content(site)
    times = {path: (site / path).stat().st_mtime_ns for path in before}
    done = published.type("site", "--output", "site")
    assert done.out.endswith("(0 written, 0 removed)\n")
    assert {path: (site / path).stat().st_mtime_ns for path in before} == times
    assert published.type("site", "--output", str(tmp_path / "deep" / "site")).code == 0
    assert content(tmp_path / "deep" / "site") == before


def test_stale_pages_go_and_others_stay(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.publish("scipy", SCIPY)
    site = market.folder / "site"
    site.mkdir()
    (site / "CNAME").write_text("images.example.org")
    assert market.type("site", "--output", "site").code == 0
    (site / "images/scipy/notes.txt").write_text("mine")
    (market.folder / "stacks/scipy.yaml").unlink()
    market.write("profiles/demo.yaml", "configmap: {name: a, namespace: a}\nhub: {pull_secret: none}\nprofiles: [{slug: a, title: A, stacks: [minimal]}]\n")  # fmt: skip
    assert market.type("site", "--output", "site").code == 0
    assert sorted(pages(site)) == ["images/minimal/default.html", "index.html"]
    assert (site / "CNAME").read_text() == "images.example.org"
    assert (site / "images/scipy/notes.txt").read_text() == "mine"
    assert not (site / "elsewhere").exists()


def test_a_stale_page_that_somebody_changed_stays(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    assert market.type("site", "--output", "site").code == 0
    page = market.folder / f"site/elsewhere/{'5' * 16}.html"
    page.write_text("my own words")
    market.write("profiles/demo.yaml", "configmap: {name: a, namespace: a}\nhub: {pull_secret: none}\nprofiles: [{slug: a, title: A, stacks: [minimal]}]\n")  # fmt: skip
    done = market.type("site", "--output", "site")
    assert "changed since it was written: left alone" in done.err
    assert page.read_text() == "my own words"


def test_what_is_not_ours_is_never_overwritten(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.write("public/index.html", "mine")
    done = market.type("site", "--output", "public")
    assert done.code == 2
    assert done.err.startswith("error: public holds index.html, which `hubstack site` did not write")
    assert content(market.folder / "public") == {"index.html": b"mine"}


def test_a_list_of_others_removes_nothing_outside(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    market.write("victim", "")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    market.write("site/.hubstack-site.json", json.dumps({"format": 1, "files": {"../victim": empty}}))
    assert market.type("site", "--output", "site").code == 0
    assert (market.folder / "victim").exists()


def test_after_a_run_that_broke_off_the_next_one_goes_on(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.publish("minimal", MINIMAL)
    replaced = 0
    replace = Path.replace

    def dying(self: Path, target: Path) -> Path:
        nonlocal replaced
        replaced += 1
        if replaced == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        assert market.type("site", "--output", "site").err == "error: No space left on device\n"
    assert not (market.folder / "site/index.html").exists()
    assert market.type("site", "--output", "site").code == 0
    assert market.type("site", "--output", "other").code == 0
    assert content(market.folder / "site") == content(market.folder / "other")


def test_nothing_published_and_nothing_offered(market: Market) -> None:
    (market.folder / "profiles/demo.yaml").unlink()
    done = market.type("site", "--output", "site")
    assert done.code == 1
    assert done.err.startswith(f"error: nothing is published in {market.registry.host}/x")
    assert not (market.folder / "site").exists()


def test_json_says_what_was_written(market: Market) -> None:
    market.publish("minimal", MINIMAL)
    said = market.type("site", "--output", "site", "--json").json
    assert said["images"] == 2
    assert "index.html" in said["written"]
    assert said["removed"] == []
