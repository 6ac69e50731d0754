"""Pages: their content and the number of their database queries."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from pytest_django.asserts import assertContains, assertNotContains

from classifier import storage
from classifier.checkpoints import inventory
from classifier.checkpoints.class_names import DISPLAY_NAMES, display_name
from classifier.models import Analysis, Clip, State, Step
from classifier.models.analyses import STEPS
from classifier.templatetags.sound import channels, percent, seconds
from classifier.tests.conftest import done, queued
from classifier.views.result_layout import frequency_ticks, time_ticks
from ml.render_metadata import EarlyPictures, FrequencyTick


@pytest.fixture
def visitor(anna: User) -> Client:
    client = Client()
    client.force_login(anna)
    return client


def test_history_filters_by_name_label_and_state(visitor: Client, anna: User) -> None:
    dog, rain = done(anna, "dog"), done(anna, "rain")
    waiting = queued(anna)
    everything = visitor.get("/history/")
    for row in (dog, rain, waiting):
        assertContains(everything, row.pk)
    only = visitor.get("/history/?label=rain")
    assertContains(only, rain.pk)
    assertNotContains(only, dog.pk)
    assertContains(visitor.get("/history/?state=queued"), waiting.pk)
    assertNotContains(visitor.get("/history/?state=queued"), dog.pk)
    assertContains(visitor.get("/history/?name=nothing-like-it"), "No sounds in your history match")


def test_deleting_a_sound_is_confirmed_by_its_name(visitor: Client, anna: User) -> None:
    page = visitor.post(f"/clips/{done(anna).clip_id}/delete/", follow=True)
    assertContains(page, "Deleted x.wav.")


def test_history_comes_in_pages_of_fifty(visitor: Client, anna: User) -> None:
    for _ in range(60):
        done(anna)
    assert visitor.get("/history/").content.count(b"data-analysis=") == 50
    assertContains(visitor.get("/history/?page=2"), "Page 2 of 2")


def test_polling_many_rows_takes_one_request_and_returns_only_changes(
    visitor: Client, anna: User, ben: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    waiting, analysed, theirs = queued(anna), done(anna), done(ben)
    gone = "00000000-0000-4000-8000-000000000000"
    asked = [
        f"{waiting.pk}:queued.",
        f"{analysed.pk}:running.saving",
        f"{theirs.pk}:x",
        f"{gone}:x",
        "junk",
    ]
    with django_assert_max_num_queries(4):
        answer = visitor.get("/rows/", {"row": asked}).json()
    assert list(answer["rows"]) == [str(analysed.pk)]
    assert "Dog" in answer["rows"][str(analysed.pk)]
    assert set(answer["gone"]) == {str(theirs.pk), gone, "junk"}
    assert Client().get("/rows/").status_code == 401


def test_polling_a_result_returns_204_until_it_changes(
    visitor: Client, anna: User, ben: User
) -> None:
    row = queued(anna)
    assert visitor.get(f"/analyses/{row.pk}/part/?seen=queued..150ms").status_code == 204
    Analysis.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(seconds=4))
    later = visitor.get(f"/analyses/{row.pk}/part/?seen=queued..150ms")
    assertContains(later, 'hx-trigger="every 1s"')
    part = visitor.get(f"/analyses/{row.pk}/part/?seen=running.saving")
    assertContains(part, "Waiting")
    assertNotContains(part, "<html")
    assert part["Cache-Control"] == "no-store"
    assert visitor.get(f"/analyses/{queued(ben).pk}/part/")["HX-Redirect"] == "/history/"
    assert Client().get(f"/analyses/{row.pk}/part/")["HX-Redirect"] == "/account/sign-in/"


def test_a_running_analysis_shows_the_pictures_that_are_stored_early(
    visitor: Client, anna: User
) -> None:
    early = EarlyPictures(-40.0, 40.0, 900, 128, (FrequencyTick(1000, 0.5),), 5.0)
    row = queued(anna, token="t" * 32, state=State.RUNNING, step=Step.CLASSIFYING)
    Clip.objects.update(duration_s=40.0)
    picture = f"/media/analyses/{row.pk}/spectrogram.png"
    storage.write_all(row.folder, {storage.SPECTROGRAM: b"png"})
    assert visitor.get(picture).status_code == 404
    assertNotContains(visitor.get(f"/analyses/{row.pk}/"), picture)
    Analysis.objects.update(early_pictures=early.to_json())
    assert visitor.get(picture).status_code == 200
    assertContains(visitor.get(f"/analyses/{row.pk}/"), picture)
    # The claim is lost: another worker may draw something else.
    Analysis.objects.all().requeue_or_fail()
    assert visitor.get(picture).status_code == 404
    assertNotContains(visitor.get(f"/analyses/{row.pk}/"), picture)


def test_the_history_shows_only_the_users_own_analyses(visitor: Client, ben: User) -> None:
    row = done(ben)
    assertNotContains(visitor.get("/history/"), row.pk)
    assert visitor.get(f"/analyses/{row.pk}/").status_code == 404


def test_pages_require_signing_in(db: None) -> None:
    for address in ("/models/", "/history/"):
        answer = Client().get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/account/sign-in/")


def test_sign_up_can_be_switched_off(db: None, settings: Settings) -> None:
    assert Client().get("/account/sign-up/").status_code == 200
    settings.SIGN_UP_OPEN = False
    assert Client().get("/account/sign-up/").status_code == 404
    assertNotContains(Client().get("/account/sign-in/"), "Create an account")


def test_every_page_has_the_content_security_policy(visitor: Client) -> None:
    for address in ("/", "/history/", "/account/password/", "/nothing-here/"):
        policy = visitor.get(address)["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        # For playing a recording before it is sent.
        assert ("blob:" in policy) == (address == "/")


def test_recordings_are_limited_to_the_accepted_length_and_size(
    visitor: Client, settings: Settings
) -> None:
    assertContains(visitor.get("/"), 'data-most-s="600"')
    assertContains(visitor.get("/"), '100 MB</span> and <span class="number">10 minutes</span>')
    settings.MAX_DURATION_S = 90
    assertContains(visitor.get("/"), 'stops automatically after <span class="number">1:30 min')
    settings.MAX_UPLOAD_BYTES = 1_000_000
    assertContains(visitor.get("/"), 'data-most-s="50"')


def test_a_form_without_a_csrf_token_is_refused(anna: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    assert client.post("/clips/").status_code == 403


def test_a_failure_is_reported_with_its_hint(visitor: Client, anna: User) -> None:
    row = queued(
        anna,
        state="failed",
        error_code="damaged",
        error_detail="It stops after 0.4 s.",
        error_hint="Copy it again.",
    )
    page = visitor.get(f"/analyses/{row.pk}/")
    assertContains(page, "It stops after 0.4 s.")
    assertContains(page, "Copy it again.")


def test_names_are_shown_as_text(visitor: Client, anna: User) -> None:
    row = done(anna)
    row.clip.name = "<script>alert(1)</script>.wav"
    row.clip.save()
    assertNotContains(visitor.get("/history/"), "<script>alert")


def test_numbers_are_formatted_for_people() -> None:
    assert [percent(x) for x in (0.924, 0.99996, 1.0, 0.0006, 0.0004, 0, None)] == [
        "92.4 %", "99.9 %", "100.0 %", "0.1 %", "< 0.1 %", "0.0 %", "",
    ]  # fmt: skip
    assert [seconds(x) for x in (5.0, 95, 600, None)] == ["5.00 s", "1:35 min", "10:00 min", ""]
    assert [channels(x) for x in (1, 2, 6, None)] == ["mono", "stereo", "6 channels", ""]


def test_every_class_of_the_default_checkpoint_has_a_display_name() -> None:
    default = inventory.find("")
    assert default is not None
    assert set(default.info.classes) == set(DISPLAY_NAMES)
    assert display_name("door_wood_knock") == "Knocking on a door"
    assert display_name("wood_saw") == "Wood saw"


def test_history_shows_display_names_and_filters_by_class_name(visitor: Client, anna: User) -> None:
    row = done(anna, "door_wood_knock")
    page = visitor.get("/history/?label=door_wood_knock")
    assertContains(page, row.pk)
    assertContains(page, "<strong>Knocking on a door</strong>")


def test_ticks_are_round_numbers_and_do_not_overlap() -> None:
    assert [tick.text for tick in time_ticks(5.0)] == ["0 s", "0.5", "1", "1.5", "2", "2.5", "3",
                                                        "3.5", "4", "4.5", "5"]  # fmt: skip
    for duration_s in (0.1, 1, 7.3, 61, 600):
        ticks = time_ticks(duration_s)
        assert 2 <= len(ticks) <= 11
        assert ticks[-1].place <= 100
    raw = [FrequencyTick(100, 0.02), FrequencyTick(250, 0.05), FrequencyTick(4000, 0.6)]
    ticks = frequency_ticks(raw)
    assert [tick.text for tick in ticks] == ["100", "4k"]
    assert ticks[0].place > ticks[1].place  # from the top


@pytest.mark.parametrize("step", STEPS)
def test_the_page_of_a_running_analysis_marks_its_step(
    visitor: Client, anna: User, step: Step
) -> None:
    analysis = queued(anna)
    Analysis.objects.filter(pk=analysis.pk).update(state=State.RUNNING, step=step)
    page = visitor.get(f"/analyses/{analysis.pk}/")
    marked = re.findall(r'<li class="(\w*)">([^<]*)</li>', page.content.decode())
    assert [label for place, label in marked if place == "now"] == [step.label]
    assert len([label for place, label in marked if place == "past"]) == 1 + STEPS.index(step)
