"""The explanation of a class on the result page: verdict, contour, and playback of its parts."""

import io
import re

import numpy as np
import pytest
import requests
import soundfile
import torch
from PIL import Image
from playwright.sync_api import Page, Position, Route, expect

from classifier.templatetags.sound import clock as clock_text
from ml.checkpoint_info import FeatureConfig
from ml.features import LogMel
from tests import fixtures
from tests.result_page import clock, show, show_parts, shown_explanation, watch_posts
from tests.server import ROOT, Person, Server, wait_for

LONG_S = 20.0
# The latest 0.7 s that the page played.
TAP = """() => { const { player } = document.querySelector("sono-scope");
  window.tap = new AnalyserNode(player.context, { fftSize: 32768 });
  player.out.connect(window.tap); }"""
TAPPED = """() => { const samples = new Float32Array(window.tap.fftSize);
  window.tap.getFloatTimeDomainData(samples); return Array.from(samples); }"""
# The RMS of the loudest 0.4 s of each part as it is played.
LOUDNESS = """() => {
  const { buffers, levels } = document.querySelector("sono-scope").player.window;
  const loudest = (name, buffer) => {
    const samples = buffer.getChannelData(0), part = Math.round(0.4 * buffer.sampleRate);
    let most = 0;
    for (let start = 0; start + part <= samples.length; start += part >> 2)
      most = Math.max(most, samples.slice(start, start + part).reduce((sum, x) => sum + x * x, 0));
    return levels[name] * Math.sqrt(most / part); };
  return Object.fromEntries(Object.entries(buffers).map(([name, buffer]) =>
    [name, loudest(name, buffer)])); }"""
# The level at which the clip plays, and that of the original of the window.
MEDIA_LEVEL = """() => { const { player } = document.querySelector("sono-scope");
  return [player.mediaLevel.gain.value, player.window.levels.original]; }"""
BRIGHTNESS = """() => { const { width, height } = document.querySelector("[data-shade]");
  const context = document.querySelector("[data-shade]").getContext("2d");
  const { data } = context.getImageData(0, 0, width, height);
  const rows = []; for (let row = 0; row < height; row += 1) rows.push(Array.from(
    { length: width }, (_, at) => data[4 * (row * width + at)] + data[4 * (row * width + at) + 1]));
  return rows; }"""
# The seconds that the contour spans, of a mask with a marked block at 1 s and another at 4 s.
SPANNED = """() => { const view = document.querySelector("sono-scope").explanation;
  const mask = { width: 150, height: 64, values: new Float32Array(150 * 64) };
  for (let row = 20; row < 40; row += 1)
    for (const first of [30, 120]) mask.values.fill(1, row * 150 + first, row * 150 + first + 10);
  view.drawOutline(mask);
  const line = view.outline.querySelector(".line").getBBox();
  return [line.x / 30, (line.x + line.width) / 30]; }"""
# The opacity of each cell of the picture, in rows from the top.
MASK = """() => { const { mask } = document.querySelector("sono-scope").shown;
  return [mask.height, mask.width, Array.from(mask.values)]; }"""


@pytest.fixture(scope="module")
def steady(listener: Person) -> dict:
    """Noise, of which every part sounds all the time."""
    sound = fixtures.noise(5.0, level=0.1, seed=21)
    return listener.wait(listener.submit("steady.wav", fixtures.encode(sound)))


def explanation_of(person: Person, analysis: dict, label: str, window: int = 0) -> dict:
    """Return a finished explanation from the API."""
    response = requests.post(
        f"{person.server.url}/api/v1/analyses/{analysis['id']}/inspections/",
        headers=person.headers,
        json={"kind": "explanation", "label": label, "window": window},
        timeout=30,
    )
    assert response.status_code == 200, "it was made for the page"
    return response.json()


def test_the_explanation_is_requested_once_and_shown_with_the_verdict_of_the_api(
    page: Page, server: Server, listener: Person
) -> None:
    sound = fixtures.chirp(5000, 300, 5.0)
    analysis = listener.wait(listener.submit("falling.wav", fixtures.encode(sound)))
    posts = watch_posts(page)
    show(page, server, analysis)
    before = page.locator("#inside").bounding_box()
    shown_explanation(page)
    assert page.locator("#inside").bounding_box() == before, "nothing moves"
    assert posts == [], "the server requested it when the page was opened"
    verdict = page.locator("[data-verdict]:visible")
    figures = explanation_of(listener, analysis, analysis["label"])["figures"]
    expect(verdict).to_have_attribute("data-verdict", figures["verdict"])
    shares = page.locator(".parts:visible dd").all_inner_texts()
    wanted = [figures[name] * 100 for name in ("original", "kept", "rest")]
    assert [float(one.split()[0]) for one in shares] == pytest.approx(wanted, abs=0.1)

    page.get_by_role("button", name="3 blocks").last.click()
    strongest = page.locator("#stage-layer4 [data-strongest] figure")
    expect(strongest).to_have_count(8)
    first = strongest.all_inner_texts()
    logit = f"{figures['logit']:.1f}"
    assert re.search(rf"contribution to .+: \+\d+\.\d\d of {re.escape(logit)}", first[0])

    page.keyboard.press("2")
    block = page.locator("[data-explain='2']")
    expect(block.locator("[data-verdict]")).to_have_count(1, timeout=60_000)
    name = block.get_attribute("data-name")
    expect(page.locator("#stage-layer4 h3").last).to_have_text(
        f"Channels that contribute most to “{name}”"
    )
    assert strongest.all_inner_texts() != first
    page.keyboard.press("1")
    assert strongest.all_inner_texts() == first
    assert len(posts) == 1 and posts[0].endswith("/inspections/"), "each class is asked for once"


def test_the_number_keys_choose_the_class(page: Page, server: Server, short: dict) -> None:
    show(page, server, short)
    outline = shown_explanation(page)
    for key in ("3", "1"):
        page.keyboard.press(key)
        block = page.locator("[data-explain]:visible")
        expect(block).to_have_attribute("data-explain", key)
        pressed = page.locator(".answer-button[aria-pressed=true]")
        expect(pressed).to_have_count(1)
        expect(pressed).to_have_attribute("data-class", key)
        expect(block.locator("[data-verdict]")).to_be_visible(timeout=60_000)
        name = block.get_attribute("data-name")
        expect(outline).to_have_attribute("aria-label", re.compile(f"“{name}”"))
        expect(page.locator("[data-key]")).to_contain_text(f"“{name}”")
        title = block.locator("[data-verdict] h3").inner_text()
        expect(page.locator("[data-key-verdict]")).to_have_text(title)


def test_a_second_visit_shows_the_explanation_without_asking(
    page: Page, server: Server, short: dict
) -> None:
    show(page, server, short)
    shown_explanation(page)
    posts = watch_posts(page)
    show(page, server, short)
    shown_explanation(page)
    page.wait_for_load_state("networkidle")
    assert posts == []


def test_a_failed_explanation_shows_its_problem_and_no_contour_and_is_tried_again(
    page: Page, server: Server, listener: Person
) -> None:
    sound = fixtures.noise(5.0, seed=11)
    analysis = listener.wait(listener.submit("hiss.wav", fixtures.encode(sound)))
    state = page.locator("[data-explain]:visible")
    with server.paused("worker"):
        show(page, server, analysis)
        expect(state).to_contain_text("Requested: waiting for a worker…")
        server.manage(
            "shell",
            "--no-imports",
            "-c",
            "from classifier.models import Inspection; "
            f"Inspection.objects.filter(analysis='{analysis['id']}').update(state='failed', "
            "error_code='broken', error_detail='The weights are broken.', "
            "error_hint='Try later.')",
        )
        expect(state).to_contain_text("The weights are broken.")
        expect(page.locator("[data-outline]")).to_be_hidden()
        expect(page.locator("[data-verdict]:visible")).to_have_count(0)
    page.get_by_role("button", name="Try again").click()
    shown_explanation(page)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_the_dimming_and_the_contour_are_switched_off_and_on(
    page: Page, server: Server, steady: dict
) -> None:
    show(page, server, steady)
    shown_explanation(page)
    dimmed = page.locator("[data-picture]").screenshot()
    switch = page.get_by_role("button", name="Explanation")
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    for layer in ("[data-outline]", "[data-shade]", "[data-key]"):
        expect(page.locator(layer)).to_be_hidden()
    page.mouse.move(0, 0)
    clean = page.locator("[data-picture]").screenshot()
    pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("L")) for png in (clean, dimmed)]
    darkest = [np.quantile(one, 0.05) for one in pixels]
    assert darkest[1] < 0.6 * darkest[0]
    page.keyboard.press("e")
    expect(page.locator("[data-outline]")).to_be_visible()
    expect(switch).to_have_attribute("aria-pressed", "true")


def test_the_explanation_covers_a_remainder_without_a_window_but_outlines_no_silence(
    page: Page, server: Server, listener: Person
) -> None:
    sound = np.concatenate([fixtures.noise(3.0, level=0.1, seed=29), fixtures.silence(2.01)])
    analysis = listener.wait(listener.submit("ending.wav", fixtures.encode(sound)))
    show(page, server, analysis)
    shown_explanation(page)
    shade, picture = (
        page.locator(name).bounding_box() for name in ("[data-shade]", ".spectrogram")
    )
    assert shade and picture
    assert shade["width"] == pytest.approx(picture["width"], abs=0.1)
    assert page.evaluate(SPANNED) == pytest.approx([1.0, 4 / 3], abs=0.01)


def test_original_part_and_rest_switch_without_a_gap(
    page: Page, server: Server, steady: dict
) -> None:
    show_parts(page, server, steady)
    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 0.1, 20, "the sound to play")
    page.evaluate(TAP)
    for name in ("Marked part", "The rest", "Original"):
        page.locator("[data-picture]").click(position={"x": 50, "y": 60})
        page.wait_for_timeout(900)
        page.keyboard.press("a")
        expect(page.get_by_role("radio", name=name)).to_be_checked()
        page.wait_for_timeout(300)
        # The switch lies within these samples, and the click does not.
        heard = np.array(page.evaluate(TAPPED))
        blocks = heard[: len(heard) // 240 * 240].reshape(-1, 240)  # 5 ms or a little more
        loudness = np.sqrt(np.square(blocks).mean(axis=1))
        assert loudness.min() > 1e-3, f"a gap before {name}"
        jumps = np.abs(np.diff(heard))
        assert jumps.max() < 12 * np.sqrt(np.square(jumps).mean()), f"a click before {name}"


def test_original_part_and_rest_are_equally_loud(page: Page, server: Server, steady: dict) -> None:
    show_parts(page, server, steady)
    loudness = page.evaluate(LOUDNESS)
    assert set(loudness) == {"original", "kept", "rest"}
    assert min(loudness.values()) > 0
    assert max(loudness.values()) / min(loudness.values()) < 10 ** (1 / 20), "within 1 dB"


def test_waveform_and_spectrogram_show_the_part_that_plays(
    page: Page, server: Server, listener: Person
) -> None:
    # A sound whose mask is clear: nearly 1 on the sound, and 0 elsewhere.
    sample = (ROOT / "webapp/samples/siren.flac").read_bytes()
    analysis = listener.wait(listener.submit("siren.flac", sample))
    show_parts(page, server, analysis)
    wave = page.locator("[data-wave]").screenshot()
    page.get_by_role("radio", name="Marked part").click()
    height, width, values = page.evaluate(MASK)
    mask = np.reshape(values, (height, width))
    part = np.array(page.evaluate(BRIGHTNESS))
    assert page.locator("[data-wave]").screenshot() != wave
    page.get_by_role("radio", name="The rest").click()
    rest = np.array(page.evaluate(BRIGHTNESS))
    rows = np.arange(part.shape[0]) * height // part.shape[0]
    columns = np.arange(part.shape[1]) * width // part.shape[1]
    share = mask[rows][:, columns]
    marked, left = share > 0.9, share < 0.1
    assert part[marked].mean() > 2 * rest[marked].mean()
    assert rest[left].mean() > 2 * part[left].mean()

    # What is shown is what is in the files.
    files = explanation_of(listener, analysis, analysis["label"])["files"]
    kept, others = (
        mel_decibels(listener.get(files[name]).content, (height, width))
        for name in ("kept.flac", "rest.flac")
    )
    above, heard = kept - others, np.maximum(kept, others) > -60
    share = np.flipud(mask)
    most, least = np.quantile(share[heard], [0.9, 0.3])
    difference = above[heard & (share >= most)].mean() - above[heard & (share <= least)].mean()
    assert difference > 20


def mel_decibels(flac: bytes, size: tuple[int, int]) -> np.ndarray:
    """Return the sound's log-mel spectrogram, resized to the cells of the mask."""
    samples, _ = soundfile.read(io.BytesIO(flac), dtype="float32")
    decibels = LogMel(FeatureConfig()).decibels(torch.from_numpy(samples)[None])
    return torch.nn.functional.interpolate(decibels, size, mode="area")[0, 0].numpy()


def test_a_window_of_a_long_clip_shows_its_own_everything(
    page: Page, server: Server, listener: Person, long: dict
) -> None:
    labels = [one["label"] for one in long["windows"]]
    other = next(n for n, label in enumerate(labels) if label != long["label"])
    show(page, server, long, f"?window={other}")
    expect(page.locator(".answer-button")).to_have_count(5, timeout=60_000)
    outline = shown_explanation(page)

    expect(page.locator("#opened-title")).to_have_text(f"Window from {clock_text(2.5 * other, 1)}")
    heading = page.locator("[data-explain='1']").get_attribute("data-name") or ""
    expect(page.locator(".attribution-tools h2")).to_have_text(f"Explanation of “{heading}”")
    assert page.locator(".answer-button").first.inner_text().split("\n")[0].endswith(heading)
    assert page.locator(".logits li").first.inner_text().startswith(heading)
    expect(outline).to_have_attribute("aria-label", re.compile(f"“{heading}”"))
    page.get_by_role("button", name="3 blocks").last.click()
    channels = page.locator("#stage-layer4 [data-strongest] figure")
    expect(channels.first).to_contain_text(f"contribution to {heading}:")
    made = explanation_of(listener, long, labels[other], other)
    assert made["figures"]["start_s"] == 2.5 * other
    confidence = page.locator(".answer-button").first.locator(".number").inner_text()
    assert float(confidence.split()[0]) == pytest.approx(
        100 * long["windows"][other]["confidence"], abs=1.0
    )

    drawn, course = outline.bounding_box(), page.locator("[data-course]").bounding_box()
    assert drawn and course
    start = 2.5 * other / LONG_S
    assert (drawn["x"] - course["x"]) / course["width"] == pytest.approx(start, abs=0.01)
    assert drawn["width"] / course["width"] == pytest.approx(5 / LONG_S, abs=0.01)


def test_a_part_plays_only_within_its_window(page: Page, server: Server, long: dict) -> None:
    """Playback of a part starts at its window; the original goes on beyond it."""
    start = 5.0
    show_parts(page, server, long, "?window=2")
    page.keyboard.press("a")
    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 0, 20, "the part to play")
    assert start <= clock(page) < start + 5
    page.keyboard.press("Space")
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="Original")).to_be_checked()
    box = page.locator("[data-picture]").bounding_box()
    assert box
    end = start + 5
    place = box["width"] * (end - 0.4) / LONG_S
    page.locator("[data-picture]").click(position={"x": place, "y": 60})
    wait_for(lambda: clock(page) > end + 0.2, 20, "the original to cross the window's edge")
    page.keyboard.press("Space")


def test_after_the_end_a_chosen_part_is_played_from_its_start(
    page: Page, server: Server, short: dict
) -> None:
    show_parts(page, server, short)
    page.locator("[data-picture]").click(position=place_of(page, 0.96))
    page.keyboard.press("Space")
    play = page.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_hidden()
    expect(play).to_be_visible()
    page.get_by_role("radio", name="Marked part").click()
    wait_for(lambda: 0 < clock(page) < 3, 20, "the part to play")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()


def place_of(page: Page, share: float) -> Position:
    box = page.locator("[data-picture]").bounding_box()
    assert box
    return {"x": box["width"] * share, "y": 60}


def test_refining_shows_a_new_contour_with_its_own_verdict(
    page: Page, server: Server, short: dict
) -> None:
    show_parts(page, server, short)
    url = "document.querySelector('sono-scope').shown.url"
    before = page.evaluate(url)
    page.get_by_role("button", name="Refine").click()
    block = page.locator("[data-explain]:visible")
    expect(block).to_contain_text("Refined for this sound.", timeout=90_000)
    expect(page.locator("[data-verdict]:visible")).to_have_count(1)
    expect(page.get_by_role("button", name="Refine")).to_be_hidden()
    refined = block.locator("[data-kind=refined]").get_attribute("data-picture-url")
    assert before != page.evaluate(url) == refined
    shown_explanation(page)


def select_loop(page: Page, start_s: float, end_s: float) -> None:
    """Drag over a part of the long clip."""
    box = page.locator("[data-picture]").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * start_s / LONG_S, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end_s / LONG_S, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator("[data-loop-words]")).to_contain_text("–")


def test_a_loop_plays_as_far_as_the_source_reaches(page: Page, server: Server, long: dict) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, server, long, "?window=4")  # 10 to 15 s
    expect(page.locator(".answer-button")).to_have_count(5, timeout=60_000)
    show_parts(page, server, long, "?window=4")

    # A part ignores a loop outside its window.
    select_loop(page, 1, 3)
    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 1.1, 20, "the loop to play")
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="Marked part")).to_be_checked()
    wait_for(lambda: clock(page) > 10.2, 20, "the part to play")
    assert clock(page) < 15
    page.keyboard.press("Space")

    # A part repeats what its window holds of the loop; the original plays all of it.
    select_loop(page, 14, 16)
    page.keyboard.press("Space")
    assert max(heard_times(page)) <= 15
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="Original")).to_be_checked()
    seen = heard_times(page)
    assert min(seen) < 15 < 15.5 < max(seen) < 16.3
    page.keyboard.press("Space")
    assert errors == []


def heard_times(page: Page) -> list[float]:
    """Return the times at which the sound was during 2.5 s."""
    seen = []
    for _ in range(25):
        page.wait_for_timeout(100)
        seen.append(clock(page))
    assert min(seen) >= 13.9, "within the loop"
    return seen


@pytest.fixture(scope="module")
def brief(listener: Person) -> dict:
    """A sound of 2 s, which silence follows in the input of the network."""
    sound = fixtures.noise(2.0, level=0.1, seed=23)
    return listener.wait(listener.submit("brief.wav", fixtures.encode(sound)))


def test_a_patch_stays_a_patch(page: Page, server: Server, brief: dict) -> None:
    show_parts(page, server, brief)
    page.keyboard.press("a")
    layer4 = page.locator(".station [data-map]").nth(4)
    layer4.scroll_into_view_if_needed()
    box = layer4.bounding_box()
    assert box
    play = page.get_by_role("button", name="Play", exact=True)

    # Nothing plays for a cell in the silence.
    layer4.click(position={"x": box["width"] * 0.85, "y": box["height"] * 0.9})
    page.wait_for_timeout(300)
    expect(play).to_be_visible()
    assert clock(page) == 0

    # Another class has no parts yet: its sound is the original, of the same patch.
    layer4.click(position={"x": box["width"] * 0.05, "y": box["height"] * 0.9})
    page.keyboard.press("2")
    expect(page.get_by_role("radio", name="Original")).to_be_checked()
    expect(play).to_be_visible()
    assert clock(page) < 1
    page.wait_for_timeout(300)
    assert clock(page) < 1


def test_the_original_that_plays_becomes_as_loud_as_the_parts(
    page: Page, server: Server, steady: dict
) -> None:
    held: list[Route] = []
    page.route("**/kept.flac", lambda route: held.append(route))
    show(page, server, steady)
    shown_explanation(page)
    page.keyboard.press("l")
    page.keyboard.press("Space")
    wait_for(lambda: clock(page) > 0, 20, "the sound to play")
    expect(page.get_by_role("radio", name="Marked part")).to_be_hidden()
    wait_for(lambda: bool(held), 20, "the page to ask for the part")
    held[0].continue_()
    expect(page.get_by_role("radio", name="Marked part")).to_be_visible()
    page.wait_for_timeout(200)
    level, wanted = page.evaluate(MEDIA_LEVEL)
    assert wanted < 0.99, "the original is louder than a part"
    assert level == pytest.approx(wanted, rel=0.01)
