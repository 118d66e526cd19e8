"""The pictures that the page of `microgpt explore` saves, in a headless Chromium, equal what it shows."""

import base64
import random
import re
from xml.etree import ElementTree

import browser
import pytest

from microgpt import GPT, GPTConfig, Tokenizer

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = ["next", "attention", "samples", "embeddings", "flow", "units", "training"]
COMPARE = """
    const images = [...arguments].slice(0, 2);
    const pixels = await Promise.all(images.map(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const pen = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height }).getContext("2d");
      pen.drawImage(image, 0, 0);
      return pen.getImageData(0, 0, image.width, image.height);
    }));
"""


@pytest.fixture
def driver(show, trained):
    options = {"losses": trained.losses, "val_losses": trained.val_losses, "training": trained.training}

    def opened(dark=False):
        driver = show(trained.model, name="<ä&b>", dark=dark, **options)
        browser.type_in(driver, "oliX")
        browser.wait(driver, "await page.samples.write(); await new Promise((done) => setTimeout(done, 300))")
        return driver

    return opened


def section(name):
    return f"byId('{name}-title').closest('section')"


def png_of(driver, name):
    """A picture's PNG, as Base64."""
    code = f"const bytes = new Uint8Array(await (await pngOf({section(name)})).arrayBuffer());"
    return browser.wait(driver, f"{code} return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))")


def test_svg_and_png_are_what_is_shown(driver, tmp_path):
    driver = driver(dark=True)
    svgs, pngs = {}, {}
    paper = driver.execute_script("return colour('paper').replaceAll(' ', '')")
    for name in PICTURES:
        svgs[name], pngs[name] = driver.execute_script(f"return svgOf({section(name)})"), png_of(driver, name)
        root = ElementTree.fromstring(svgs[name])
        texts = "".join(text.text for text in root.iter(f"{SVG}text"))
        heading = driver.find_element("id", f"{name}-title").text
        assert heading in texts and "SVG" not in texts and "Write ten" not in texts and "At position" not in texts
        assert root[0].attrib["fill"] == paper
        for part in root.iter():
            for attribute, value in part.attrib.items():
                assert attribute != "href" or value.startswith("data:image/png;base64,")
                assert "var(" not in value and (attribute == "clip-path" or "url(" not in value)
            assert part.tag != f"{SVG}text" or (
                part.attrib["font-family"] and {part.attrib["fill"][:4], part.attrib.get("stroke", "")[:4]} & {"rgb("}
            )
    assert {"o", "l", "i", "X", "end"} <= {text.text for text in ElementTree.fromstring(svgs["next"]).iter(f"{SVG}text")}
    shown = {}
    for name in PICTURES:
        path = tmp_path / f"{name}.svg"
        path.write_text(svgs[name], encoding="utf-8")
        width, height = (int(ElementTree.fromstring(svgs[name]).attrib[side]) for side in ("width", "height"))
        driver.get(path.as_uri())
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 2}
        options = {"format": "png", "clip": clip, "captureBeyondViewport": True}
        shown[name] = (2 * width, 2 * height, driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])
    driver.get("about:blank")
    for name, (width, height, svg) in shown.items():
        code = """
            const [one, two] = pixels.map(({ data }) => data);
            let [painted, differ] = [0, 0];
            for (let i = 0; i < one.length; i += 4) {
              const bright = one[i] + one[i + 1] + one[i + 2];
              if (Math.abs(bright - one[0] - one[1] - one[2]) > 20) painted++;
              if (Math.abs(bright - two[i] - two[i + 1] - two[i + 2]) > 150) differ++;
            }
            return [pixels.map(({ width, height }) => [width, height]), painted / one.length * 4, differ / one.length * 4];
            """
        sizes, painted, differ = browser.wait(driver, COMPARE + code, pngs[name], svg)
        assert sizes == [[width, height]] * 2, name
        assert 0.01 < painted < 0.6 and differ < 0.0015, (name, painted, differ)


def test_the_buttons_save_files(driver, tmp_path):
    driver = driver()
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    assert ElementTree.fromstring(driver.execute_script(f"return svgOf({section('next')})"))[0].attrib["fill"] == "rgb(252,251,249)"
    driver.execute_script(f"{section('embeddings')}.scrollIntoView({{ block: 'center' }})")  # as a click would scroll it
    png, svg = png_of(driver, "embeddings"), driver.execute_script(f"return svgOf({section('embeddings')})")
    paths = [tmp_path / f"ä-b-microgpt-how-characters-relate.{kind}" for kind in ("svg", "png")]
    for kind, path in zip(["SVG", "PNG"], paths):
        driver.find_element("css selector", f"[aria-label='Save as {kind}: How characters relate']").click()
        for _ in range(200):
            if path.exists():
                break
            browser.wait(driver, "await new Promise((done) => setTimeout(done, 50))")
    assert paths[0].read_text(encoding="utf-8") == svg and base64.b64encode(paths[1].read_bytes()).decode() == png
    assert driver.execute_script("return document.querySelectorAll('.saving').length") == 0


def test_a_picture_too_tall_for_a_canvas_is_smaller(driver):
    driver = driver()
    size = """
        byId("next-title").closest("section").style.height = "20000px";
        const { width, height } = await createImageBitmap(await pngOf(byId("next-title").closest("section")));
        return [width, height]"""
    width, height = browser.wait(driver, size)
    assert height == 16000 and 400 < width < 600


def test_a_text_from_right_to_left_and_what_xml_cannot_have(show):
    driver = show(GPT.init(GPTConfig(n_embd=4), Tokenizer.from_docs(["محمد\x00<&"]), random.Random(0)))
    browser.type_in(driver, "محمد<&")
    browser.wait(driver, "await page.samples.write()")
    for name in "next", "samples", "attention":
        root = ElementTree.fromstring(driver.execute_script(f"return svgOf({section(name)})"))
        assert re.search("[م<&]", "".join(text.text for text in root.iter(f"{SVG}text")))
