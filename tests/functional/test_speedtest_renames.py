"""What was measured of a configuration stays with it when Site Preferences give it another name."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import SitePreferences, User
from preferences.saving import save_preferences
from preferences.snapshot import current_preferences
from speedtest import server_run, steps
from speedtest.ending import current_plan
from speedtest.invitations import why_dead
from speedtest.models import ReplicationLag, SpeedTestInvitation, SpeedTestRun
from speedtest.results import compared
from speedtest.steps import REGIONAL
from tests.functional.conftest import Site
from tests.functional.test_speedtest_server_run import PLAN


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


def run_of(ada: User, site: Site, **fields: object) -> SpeedTestRun:
    # The first one is the same place under each of its names.
    place = next(iter(current_preferences().configurations.values())).fingerprint
    values = {"user": ada, "configuration": "main", "place": place, "state": "done",
              "started_at": timezone.now(), "figures": {"download": {"mbps": 100}}}  # fmt: skip
    return SpeedTestRun.objects.create(**values | fields)


def rename(site: Site, new: str = "studio") -> None:
    """Call the configuration "main" otherwise, as the page does where media depends on it."""
    configurations = json.loads(site.values["s3_configuration"])
    configurations = {new: configurations.pop("main"), **configurations}
    values = site.values | {"s3_configuration": json.dumps(configurations)}
    version = SitePreferences.objects.get(pk=1).version
    save_preferences(values, version, None, renames={"main": new})


def names(model: type, field: str = "configuration") -> set[str]:
    return set(model.objects.values_list(field, flat=True))


def test_results_links_and_lags_go_along(site: Site, ada: User) -> None:
    run_of(ada, site)
    run_of(ada, site, configuration=f"main{REGIONAL}")
    run_of(ada, site, configuration="sydney")
    now = timezone.now()
    place = current_preferences().configurations["main"].fingerprint
    link = SpeedTestInvitation.objects.create(
        configuration="main", place=place, note="Anna", made_by=ada, created_at=now,
        expires_at=now + timedelta(days=1),
    )  # fmt: skip
    ReplicationLag.objects.create(
        primary="main", replica="sydney", places="x", stored_at=now, delay=60
    )
    rename(site)
    assert names(SpeedTestRun) == {"studio", f"studio{REGIONAL}", "sydney"}
    assert names(ReplicationLag, "primary") == {"studio"}
    link.refresh_from_db()
    assert link.configuration == "studio"
    assert why_dead(link, current_preferences(), now) == ""


def test_the_longest_name_has_room_with_what_a_comparison_adds(site: Site, ada: User) -> None:
    longest = "x" * 100
    run = run_of(ada, site, configuration=f"main{REGIONAL}")
    rename(site, longest)
    run.refresh_from_db()
    run.full_clean(
        exclude=[field.name for field in run._meta.fields if field.name != "configuration"]
    )
    assert run.configuration == f"{longest}{REGIONAL}"


def test_the_median_of_30_days_does_not_begin_anew(site: Site, ada: User) -> None:
    for days in (1, 2, 3):
        run_of(ada, site, started_at=timezone.now() - timedelta(days=days))
    rename(site)
    latest = run_of(ada, site, configuration="studio")
    assert compared(latest)[0]["text"].startswith("As usual: the median of 3 tests")


def test_a_rename_that_nobody_has_to_be_asked_about_is_one_too(site: Site, ada: User) -> None:
    """No media depends on it, so the page saves without a question."""
    run_of(ada, site)
    configurations = json.loads(site.values["s3_configuration"])
    configurations["studio"] = configurations.pop("main")
    site.prefer(s3_configuration=json.dumps(configurations), storage_location="studio")
    assert names(SpeedTestRun) == {"studio"}


@pytest.mark.parametrize("twins", [False, True])
def test_another_place_is_no_new_name(site: Site, ada: User, twins: bool) -> None:
    run_of(ada, site)
    configurations = json.loads(site.values["s3_configuration"])
    main = configurations.pop("main")
    # Two that are the same place: nobody knows which of them it is now.
    configurations |= {"a": main, "b": main} if twins else {"a": main | {"prefix": "else"}}
    site.prefer(s3_configuration=json.dumps(configurations), storage_location="a")
    assert names(SpeedTestRun) == {"main"}


def test_a_test_that_runs_meanwhile_comes_to_its_end(site: Site, ada: User, settings) -> None:
    settings.SPEEDTEST_PLAN = PLAN
    client = Client()
    client.force_login(ada)
    body = json.dumps({"configuration": "main", "mode": "quick"})
    begun = client.post(reverse("speedtest:start"), body, "application/json").json()
    rename(site)
    answer = client.post(begun["urls"]["finish"], '{"state": "done"}', "application/json")
    assert answer.status_code == 200
    assert answer.json()["row"]["configuration"] == "studio"


def test_a_run_of_this_server_does_not_bring_the_old_name_back(
    site: Site, ada: User, settings
) -> None:
    settings.SPEEDTEST_PLAN = PLAN
    target = steps.target_of(current_preferences(), "main")
    run = server_run.begin(target, source="server", mode="quick", now=timezone.now(), user=ada)

    class Stopping:
        """Not asked to stop; the first look is the moment of the rename."""

        renamed = False

        def is_set(self) -> bool:
            if not self.renamed:
                self.renamed = True
                rename(site)
            return False

    server_run.execute(
        run,
        target,
        current_plan("quick"),
        origin="http://testserver",
        now=timezone.now,
        stopping=Stopping(),
        show=lambda event: None,
    )
    stored = SpeedTestRun.objects.get()
    assert (stored.configuration, stored.state) == ("studio", "done")


def test_a_test_in_the_way_does_not_keep_anybody_from_saving(site: Site, ada: User) -> None:
    run_of(ada, site, state="running")
    run_of(ada, site)
    # Of a configuration that was removed while it ran.
    run_of(ada, site, configuration="studio", state="running")
    rename(site)
    found = SpeedTestRun.objects.order_by("state", "configuration")
    assert list(found.values_list("state", "configuration")) == [
        ("done", "studio"),
        ("running", "main"),
        ("running", "studio"),
    ]


def test_nothing_moves_when_the_preferences_are_not_saved(
    site: Site, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(ada, site)

    def fail(old: str, new: str) -> None:
        raise RuntimeError(f"{old} is not {new}")

    monkeypatch.setattr("speedtest.for_preferences.rename", fail)
    with pytest.raises(RuntimeError):
        rename(site)
    assert names(SpeedTestRun) == {"main"}
    assert "main" in current_preferences().configurations
