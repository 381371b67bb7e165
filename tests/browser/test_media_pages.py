"""The library, the page of a media file and the upload, as a person uses them in Chromium."""

import json
import re
import struct
import zlib

import pytest
from playwright.sync_api import expect

from media.models import MediaFile, Upload
from tests.functional.conftest import MAIN, SYDNEY

MIB = 1 << 20


def png(width=64, height=36, colour=(200, 60, 30)):
    """Return a PNG of one colour."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    rows = (b"\0" + bytes(colour) * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def wav(seconds=20, rate=8000):
    """Return a WAV of silence."""
    data = bytes([128]) * seconds * rate
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16,
                       1, 1, rate, rate, 1, 8, b"data", len(data))  # fmt: skip
    return head + data


@pytest.fixture
def artist(site):
    return site.person("yes", username="artist")


def picture(site, **fields):
    fields = {"name": "frame.png", "kind": "image", "content_type": "image/png"} | fields
    return site.media_file(body=png(), **fields)


def wait_until(element, condition):
    """Wait until a condition on `e`, the element, holds; Playwright's own needs eval().

    Returns True, so that it can be asserted.
    """
    script = """e => new Promise((resolve, reject) => {
        const check = () => (CONDITION) ? resolve() : setTimeout(check, 20);
        setTimeout(() => reject(new Error("waited 10 s in vain")), 10000);
        check();
    })"""
    element.evaluate(script.replace("CONDITION", condition))
    return True


def is_shown(image):
    return wait_until(image, "e.naturalWidth > 0")


# --- Upload ---------------------------------------------------------------------------------------


def test_a_file_is_uploaded_with_progress_and_can_be_opened(site, artist, page_as, tmp_path):
    body = bytes(range(256)) * 4096 * 20
    (tmp_path / "Übung 1.mov").write_bytes(body)
    page = page_as(artist)
    page.goto("/upload/")
    page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => {
                const bar = document.querySelector("progress");
                if (bar) { window.seen.push(bar.value / bar.max); }
            }).observe(document.getElementById("uploads"),
                       {subtree: true, childList: true, characterData: true});
        }"""
    )
    site.emulator.faults(MAIN, rate_mb_s=20, methods=["PUT"])
    page.locator("#files").set_input_files(tmp_path / "Übung 1.mov")
    bar = page.get_by_role("progressbar", name="Upload of Übung 1.mov")
    expect(bar).to_be_visible()
    link = page.get_by_role("link", name="Übung 1.mov")
    expect(link).to_be_visible(timeout=20_000)
    expect(page.locator("#upload-news")).to_have_text("Übung 1.mov is uploaded.")
    expect(bar).to_be_hidden()
    seen = page.evaluate("window.seen")
    assert [value for value in seen if 0 < value < 1]
    assert max(seen) == 1

    media_file = MediaFile.objects.get()
    assert (media_file.name, media_file.size) == ("Übung 1.mov", len(body))
    stored = site.emulator.s3(MAIN).get_object(Bucket=MAIN, Key=f"shotmedia/{media_file.path}")
    assert stored["Body"].read() == body
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Übung 1.mov")


def test_several_files_at_once_and_an_empty_one(site, artist, page_as):
    page = page_as(artist)
    page.goto("/upload/")
    page.locator("#files").set_input_files(
        [
            {"name": f"{name}.wav", "mimeType": "audio/wav", "buffer": b"x" * size}
            for name, size in (("a", 10), ("empty", 0), ("b", 20))
        ]
    )
    expect(page.locator(".upload[data-state=done]")).to_have_count(2)
    refused = page.locator(".upload[data-state=refused]")
    expect(refused.locator(".upload-words")).to_have_text(
        "The file is empty (0 bytes): there is nothing to upload."
    )
    expect(refused.get_by_role("button")).to_have_count(0)
    assert sorted(MediaFile.objects.values_list("name", flat=True)) == ["a.wav", "b.wav"]


def test_cancelling_by_keyboard_stops_the_upload_and_frees_its_parts(site, artist, page_as):
    site.emulator.faults(MAIN, rate_mb_s=1, methods=["PUT"])
    page = page_as(artist)
    page.goto("/upload/")
    page.locator("#files").set_input_files(
        {"name": "big.mov", "mimeType": "video/quicktime", "buffer": b"x" * 20 * MIB}
    )
    cancel = page.get_by_role("button", name="Cancel the upload of big.mov")
    cancel.focus()
    expect(page.locator(".upload[data-state=running]")).to_have_count(1)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        page.keyboard.press("Enter")
    assert deleted.value.status == 200
    expect(page.locator(".upload-words")).to_have_text("cancelled")
    assert page.evaluate("document.activeElement.classList.contains('upload')")
    assert not Upload.objects.exists()
    assert not MediaFile.objects.exists()
    assert not site.emulator.s3(MAIN).list_multipart_uploads(Bucket=MAIN).get("Uploads")


def test_what_is_cancelled_too_late_is_shown_as_uploaded(site, artist, page_as):
    page = page_as(artist)
    completions = []

    def complete(route):
        completions.append(route)
        if len(completions) > 1:
            route.continue_()

    page.route("**/complete", complete)
    late = {"error": "upload-complete", "message": "“a.wav” is already uploaded."}
    page.route(
        re.compile("/media/uploads/[^/]*$"), lambda route: route.fulfill(status=409, json=late)
    )
    page.goto("/upload/")
    with page.expect_request("**/complete"):
        page.locator("#files").set_input_files(
            {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
        )
    page.get_by_role("button", name="Cancel the upload of a.wav").click()
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)
    expect(page.get_by_role("link", name="a.wav")).to_be_visible()
    expect(page.locator("#upload-news")).to_have_text("a.wav is uploaded.")


def test_many_files_are_told_together_and_cancelled_at_once(site, artist, page_as):
    page = page_as(artist)
    page.goto("/upload/")
    together = page.locator("#upload-all-words")
    files = [{"name": f"{n}.wav", "mimeType": "audio/wav", "buffer": b"x" * 10} for n in range(5)]
    page.locator("#files").set_input_files(files[:1])
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)
    expect(together).to_be_hidden()
    site.emulator.faults(MAIN, refuse=True, methods=["PUT"])
    page.locator("#files").set_input_files(files[1:])
    expect(together).to_contain_text("1 of 5 files uploaded · ")
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator(".upload[data-state=cancelled]")).to_have_count(4)
    expect(together).to_have_text("1 of 1 files uploaded · 4 cancelled")
    expect(page.locator("#upload-news")).to_have_text("4 uploads are cancelled.")
    expect(page.get_by_role("button", name="Cancel all")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "upload-all"


def test_all_that_failed_are_tried_again_at_once(site, artist, page_as):
    page = page_as(artist)
    # No waiting between tries.
    page.add_init_script("const wait = setTimeout; window.setTimeout = (work) => wait(work, 0);")
    site.emulator.faults(MAIN, status=403, methods=["PUT"])
    page.goto("/upload/")
    page.locator("#files").set_input_files(
        [{"name": f"{n}.wav", "mimeType": "audio/wav", "buffer": b"x" * 10} for n in range(2)]
    )
    expect(page.locator("#upload-all-words")).to_contain_text("2 not uploaded")
    site.emulator.clear_faults()
    page.get_by_role("button", name="Try all again").click()
    expect(page.locator("#upload-all-words")).to_have_text("2 of 2 files uploaded")


def test_a_bucket_without_cors_rules_is_named_and_trying_again_works(site, page_as, live_server):
    admin = site.person(username="admin", is_staff=True)
    page = page_as(admin)
    # No waiting between tries.
    page.add_init_script("const wait = setTimeout; window.setTimeout = (work) => wait(work, 0);")
    rules = site.emulator.s3(MAIN).get_bucket_cors(Bucket=MAIN)["CORSRules"]
    site.emulator.set_cors(MAIN, [])
    page.goto("/upload/")
    page.locator("#files").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
    )
    failed = page.locator(".upload[data-state=failed]")
    expect(failed.locator(".upload-words")).to_contain_text("CORS rules do not allow this site")
    expect(failed.get_by_role("link", name="speed test")).to_be_visible()
    site.emulator.set_cors(MAIN, rules)
    failed.get_by_role("button", name="Try again to upload a.wav").click()
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)
    assert MediaFile.objects.get().size == 10


def test_a_bucket_that_is_newer_than_the_page_asks_for_a_reload(site, artist, page_as):
    page = page_as(artist)
    page.goto("/upload/")
    configurations = json.loads(site.values["s3_configuration"])
    here, there = "127.0.0.1", "localhost"
    moved = configurations["main"]["endpoint_url"].replace(here, there)
    configurations["main"]["endpoint_url"] = moved
    site.prefer(s3_configuration=json.dumps(configurations))
    page.locator("#files").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
    )
    failed = page.locator(".upload[data-state=failed]")
    expect(failed.locator(".upload-words")).to_contain_text("Reload the page")
    expect(failed.locator(".upload-hint")).to_be_hidden()
    assert page.problems
    page.problems.clear()


@pytest.mark.parametrize(("status", "code"), [(409, "no-storage-location"), (400, "bad-parts")])
def test_an_upload_that_cannot_go_on_is_begun_anew_by_trying_again(
    site, artist, page_as, status, code
):
    page = page_as(artist)
    refusals = [{"error": code, "message": "Upload the file again."}]
    page.route(
        re.compile("/media/uploads/.*/complete$"),
        lambda route: (
            route.fulfill(status=status, json=refusals.pop()) if refusals else route.continue_()
        ),
    )
    fails_and_is_begun_anew(page, "Upload the file again.")


def test_an_upload_that_s3_has_cleaned_up_is_begun_anew_by_trying_again(site, artist, page_as):
    page = page_as(artist)
    site.emulator.faults(MAIN, status=404, code="NoSuchUpload", methods=["PUT"], count=1)
    fails_and_is_begun_anew(
        page, "S3 no longer knows this upload: it was cleaned up. Try again to begin anew."
    )


def fails_and_is_begun_anew(page, words):
    """Upload a file that fails with `words`, and try again."""
    page.goto("/upload/")
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.locator("#files").set_input_files(
            {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
        )
    failed = page.locator(".upload[data-state=failed]")
    expect(failed.locator(".upload-words")).to_have_text(words)
    failed.get_by_role("button", name="Try again to upload a.wav").click()
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)
    assert Upload.objects.get().media_file == MediaFile.objects.get()


def test_an_upload_waits_for_the_network_and_goes_on_by_itself(site, artist, page_as):
    page = page_as(artist)
    # No waiting between tries but for the network.
    page.add_init_script(
        "const wait = setTimeout;window.setTimeout = (work, ms) => wait(work, ms < 60000 ? 0 : ms);"
    )
    page.goto("/upload/")
    page.context.set_offline(True)
    with page.expect_event("requestfailed"):
        page.locator("#files").set_input_files(
            {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
        )
    page.context.set_offline(False)
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)


def test_who_was_logged_out_logs_in_elsewhere_and_goes_on(site, artist, page_as):
    page = page_as(artist)
    session = page.context.cookies()
    page.goto("/upload/")
    page.context.clear_cookies()
    page.locator("#files").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
    )
    failed = page.locator(".upload[data-state=failed]")
    expect(failed.locator(".upload-words")).to_contain_text("You are logged out. Log in in another")
    page.context.add_cookies(session)
    other_tab = page.context.new_page()
    other_tab.goto("/upload/")
    failed.get_by_role("button", name="Try again to upload a.wav").click()
    expect(page.locator(".upload[data-state=done]")).to_have_count(1)


def test_who_leaves_an_upload_that_failed_half_way_is_asked_first(site, artist, page_as):
    page = page_as(artist)
    page.route(
        re.compile("/media/uploads/.*/complete$"),
        lambda route: route.fulfill(status=401, json={"error": "not-logged-in", "message": ""}),
    )
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.goto("/upload/")
    page.locator("#files").set_input_files(
        {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"x" * 10}
    )
    failed = page.locator(".upload[data-state=failed]")
    expect(failed.locator(".upload-words")).to_contain_text("Log in in another tab")
    library = page.get_by_role("link", name="Library")
    with page.expect_event("dialog"):
        library.click(no_wait_after=True)
    expect(failed).to_be_visible()
    failed.get_by_role("button", name="Cancel the upload of a.wav").click()
    expect(page.locator(".upload[data-state=cancelled]")).to_be_visible()
    library.click()
    expect(page.get_by_role("heading", name="Library")).to_be_visible()
    assert asked == ["beforeunload"]


def test_files_can_be_dropped(site, artist, page_as):
    page = page_as(artist)
    page.goto("/upload/")
    dropped = page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["bytes"], "dropped.txt", {type: "text/plain"}));
            return transfer;
        }"""
    )
    page.dispatch_event("#drop-zone", "drop", {"dataTransfer": dropped})
    expect(page.get_by_role("link", name="dropped.txt")).to_be_visible()


def test_the_file_input_is_reached_and_seen_by_keyboard(site, artist, page_as):
    page = page_as(artist)
    # Chromium is told of the first listener while other calls go on, so not just before the key.
    page.on("filechooser", lambda chooser: None)
    page.goto("/upload/")
    page.locator("#content").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    outline = page.locator("label[for=files]").evaluate("label => getComputedStyle(label).outline")
    assert "3px" in outline
    with page.expect_file_chooser():
        page.keyboard.press("Space")


# --- Library --------------------------------------------------------------------------------------


def test_the_library_is_searched_by_keyboard(site, artist, page_as):
    for name in ("sh010_comp.mov", "sh020_comp.mov", "sh010_anim.mov"):
        site.media_file(name=name)
    page = page_as(artist)
    page.goto("/")
    expect(page.locator(".tile")).to_have_count(3)
    page.get_by_role("searchbox").focus()
    page.keyboard.type("comp sh010")
    page.keyboard.press("Enter")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value("comp sh010")
    page.get_by_role("link", name="sh010_comp.mov").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("sh010_comp.mov")
    page.reload()
    address = page.url
    page.get_by_role("link", name="← Library").click()
    expect(page.get_by_role("searchbox")).to_have_value("comp sh010")
    page.goto(address, referer="https://elsewhere.example.com/?q=comp")
    expect(page.get_by_role("link", name="← Library")).to_have_attribute("href", "/")


def test_thumbnails_come_from_the_bucket(site, artist, page_as):
    picture(site)
    page = page_as(artist)
    page.goto("/")
    image = page.locator(".thumbnail img")
    assert is_shown(image)
    expect(page.locator(".thumbnail .kind-icon")).to_be_hidden()


def test_a_thumbnail_that_the_replica_lacks_comes_from_the_primary(site, artist, page_as):
    site.prefer(verify_replica_copies=False)
    picture(site, copied=False)
    page = page_as(artist)
    page.goto("/")
    image = page.locator(".thumbnail img")
    assert is_shown(image)
    assert "source=primary" in image.get_attribute("src")


def test_a_thumbnail_that_no_bucket_has_becomes_an_icon(site, artist, page_as):
    media_file = picture(site, copied=False)
    site.emulator.s3(MAIN).delete_object(Bucket=MAIN, Key=f"shotmedia/{media_file.path}")
    page = page_as(artist)
    page.goto("/")
    expect(page.locator(".thumbnail .kind-icon")).to_be_visible()
    expect(page.locator(".thumbnail img")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_screen(site, page_as, width):
    longest = "x" * 100
    artist = site.person("yes", username="n" * 150)
    configurations = json.loads(site.values["s3_configuration"])
    configurations[longest] = configurations.pop("main")
    site.prefer(s3_configuration=json.dumps(configurations), storage_location=longest)
    name = "a_very_long_name_without_any_space_" * 5 + ".png"
    media_file = picture(site, name=name, configuration=longest, age=0)
    page = page_as(artist, viewport={"width": width, "height": 800})
    for address in ("/", f"/media/{media_file.pk}/", "/upload/", "/account/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# --- One media file -------------------------------------------------------------------------------


def test_a_picture_that_the_replica_lacks_comes_from_the_primary_and_says_so(site, artist, page_as):
    site.prefer(verify_replica_copies=False)
    media_file = picture(site, copied=False)
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    assert is_shown(page.locator("[data-shown]"))
    expect(page.locator("#player-news")).to_contain_text("the bucket that the file was uploaded to")


def test_a_picture_that_loads_says_nothing(site, artist, page_as):
    media_file = picture(site)
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    assert is_shown(page.locator("[data-shown]"))
    expect(page.locator("#player-news")).to_be_hidden()
    expect(page.locator("#source-badge")).to_have_text("sydney")


def test_what_no_bucket_has_is_said_in_words(site, artist, page_as):
    media_file = picture(site, copied=False)
    site.emulator.s3(MAIN).delete_object(Bucket=MAIN, Key=f"shotmedia/{media_file.path}")
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    expect(page.locator("#player-news")).to_contain_text("This cannot be shown")


def sound(site, **fields):
    fields = {"name": "sound.wav", "kind": "audio", "content_type": "audio/wav"} | fields
    return site.media_file(body=wav(1200, rate=48_000), **fields)


def test_a_player_goes_on_at_the_same_second_when_its_link_has_expired(
    site, artist, page_as, settings
):
    settings.LINK_STEP_SECONDS = 0
    media_file = sound(site)
    page = page_as(artist)
    links = []
    page.on("response", lambda answer: answer.status == 206 and links.append(answer.url))
    page.goto(f"/media/{media_file.pk}/")
    audio = page.locator("audio")
    wait_until(audio, "e.readyState >= 2")
    # As if a minute had passed and S3 refused the link that had worked until now. Chromium then
    # repeats its request in silence; the page's patience of 6 s is shortened.
    page.evaluate(
        """() => {
            const [now, wait] = [performance.now(), setTimeout];
            performance.now = () => now + 61000;
            window.setTimeout = (work, ms) => wait(work, ms === 6000 ? 1500 : ms);
        }"""
    )
    expired = links[0]
    page.route(
        lambda url: url == expired,
        lambda route: route.continue_(
            url=expired.replace("X-Amz-Signature=", "&X-Amz-Signature=0")
        ),
    )
    with page.expect_response(lambda answer: f"/media/{media_file.pk}/download" in answer.url):
        audio.evaluate("e => { e.currentTime = 1000; }")
    assert wait_until(audio, "e.readyState >= 2 && !e.seeking && e.currentTime === 1000")
    expect(page.locator("#player-news")).to_contain_text("goes on with a new link")


def test_a_player_keeps_its_second_when_the_new_link_fails_too(site, artist, page_as, settings):
    site.prefer(verify_replica_copies=False)
    media_file = sound(site)
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    audio = page.locator("audio")
    wait_until(audio, "e.readyState >= 2")
    audio.evaluate("e => { e.currentTime = 600; }")
    wait_until(audio, "!e.seeking && e.currentTime === 600")
    page.evaluate("() => { const now = performance.now(); performance.now = () => now + 61000; }")
    settings.LINK_SECONDS -= 1  # another link, which Chromium has not kept anything of
    site.emulator.faults(SYDNEY, status=404)
    # As Chromium reports it once it has given a link up.
    audio.evaluate("e => { e.dispatchEvent(new Event('error')); }")
    assert wait_until(audio, "e.readyState >= 2 && !e.seeking && e.currentTime === 600")
    assert "source=primary" in audio.get_attribute("src")


def test_a_player_waits_for_the_network_and_goes_on_at_the_same_second(site, artist, page_as):
    media_file = sound(site)
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    audio = page.locator("audio")
    wait_until(audio, "e.readyState >= 2")
    # The page's patience of 6 s is shortened.
    page.evaluate(
        """() => {
            const wait = setTimeout;
            window.setTimeout = (work, ms) => wait(work, ms === 6000 ? 500 : ms);
        }"""
    )
    page.context.set_offline(True)
    audio.evaluate("e => { e.currentTime = 1000; }")
    expect(page.locator("#player-news")).to_have_text(
        "There was no network: this goes on as soon as it is back."
    )
    # As Chromium reports it once it has given the link up.
    audio.evaluate("e => { e.dispatchEvent(new Event('error')); }")
    page.context.set_offline(False)
    assert wait_until(audio, "e.readyState >= 2 && !e.seeking && e.currentTime === 1000")


@pytest.mark.parametrize("fault", [{"status": 404}, {"status": 503}, {"refuse": True}])
def test_a_player_whose_bucket_fails_goes_on_from_the_primary(site, artist, page_as, fault):
    site.prefer(verify_replica_copies=False)
    media_file = sound(site)
    site.emulator.faults(SYDNEY, **fault)
    page = page_as(artist)
    page.goto(f"/media/{media_file.pk}/")
    audio = page.locator("audio")
    assert wait_until(audio, "e.readyState >= 2")
    assert "source=primary" in audio.get_attribute("src")
    expect(page.locator("#player-news")).to_contain_text("the bucket that the file was uploaded to")


def test_the_reason_changes_on_the_page_when_the_copy_arrives(site, artist, page_as):
    site.prefer(s3_replication_delay=4)
    page = page_as(artist)
    page.goto("/upload/")  # what is slow the first time is not counted in the 4 s
    media_file = picture(site, age=0, copied=True)
    page.goto(f"/media/{media_file.pk}/")
    expect(page.locator("#source-badge")).to_have_text("main")
    expect(page.locator("#source-badge")).to_have_text("sydney", timeout=10_000)
    expect(page.locator("#source-words")).to_contain_text("was found, with the right size")
    expect(page.locator("#source-news")).to_contain_text("It now comes from sydney.")


def test_staff_ask_for_another_person_and_address(site, page_as):
    site.person("auto", username="remote")
    media_file = picture(site)
    page = page_as(site.person(username="admin", is_staff=True))
    page.goto(f"/media/{media_file.pk}/")
    page.get_by_text("Ask for another person or address").click()
    page.get_by_label("User name").fill("remote")
    page.get_by_label("IP address").fill("10.20.1.2")
    page.get_by_role("button", name="Ask").click()
    answer = page.locator("#source-for-answer")
    expect(answer).to_contain_text("sydney: remote has Use S3 Replication = auto; 10.20.1.2")
    page.get_by_label("User name").fill("nobody")
    page.keyboard.press("Enter")
    expect(answer).to_have_text("There is no user named “nobody”.")
