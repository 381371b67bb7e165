"""shotmedia.s3.credentials: when the holder refreshes, waits, keeps and gives up. No sleeping."""

import logging
import os
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from shotmedia.s3.config import BucketConfig
from shotmedia.s3.credentials import (
    Credentials,
    RoleCredentials,
    credentials_for,
    credentials_key,
    role_session_name,
)
from shotmedia.s3.errors import AccessDenied, CredentialsUnavailable, Unreachable


class Site:
    """A holder with a clock that stands still, a scripted STS and a background run by hand."""

    def __init__(self, duration: float | None = 3600) -> None:
        self.now = 1_000_000.0
        self.duration = duration
        self.calls = 0
        self.failure: Exception | None = None
        self.background: list[Callable[[], None]] = []
        self.holder = RoleCredentials(
            self.fetch, clock=lambda: self.now, start=self.background.append, name="role"
        )

    def fetch(self) -> Credentials:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        expires = None if self.duration is None else self.now + self.duration
        return Credentials(f"KEY{self.calls}", "secret", "token", expires)

    def run_background(self) -> int:
        waiting, self.background[:] = list(self.background), []
        for work in waiting:
            work()
        return len(waiting)


def test_the_first_call_fetches_and_later_ones_do_not() -> None:
    site = Site()
    first = site.holder.get(900)
    site.now += 2399
    assert site.holder.get(900) is first
    assert (site.calls, site.background) == (1, [])


def test_nothing_is_fetched_before_it_is_needed() -> None:
    assert Site().calls == 0


def test_credentials_get_renewed_before_they_are_too_short_and_nobody_waits() -> None:
    site = Site()
    first = site.holder.get(900)
    site.now += 2401  # 1199 s left: less than 900 + 300
    assert site.holder.get(900) is first
    assert site.holder.get(900) is first
    assert site.calls == 1
    assert site.run_background() == 1
    renewed = site.holder.get(900)
    assert renewed.access_key == "KEY2"
    assert renewed.expires_at == site.now + 3600


def test_a_short_wish_refreshes_later_than_a_long_one() -> None:
    site = Site()
    site.holder.get(60)
    site.now += 3239  # 361 s left
    site.holder.get(60)
    assert site.background == []
    site.now += 2
    site.holder.get(60)
    assert len(site.background) == 1


def test_a_wish_longer_than_credentials_last_does_not_refresh_at_every_call() -> None:
    site = Site()
    site.holder.get(604_800)
    site.now += 899
    site.holder.get(604_800)
    assert site.background == []
    site.now += 2  # a quarter of their life is over
    site.holder.get(604_800)
    assert site.run_background() == 1
    site.holder.get(604_800)
    assert site.background == []


def test_sessions_of_900_seconds_are_not_fetched_at_every_signature() -> None:
    site = Site(duration=900)
    for _ in range(10):
        site.holder.get(900)
    site.run_background()
    assert site.calls == 1


def test_a_failed_refresh_keeps_what_is_there_and_backs_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    first = site.holder.get(900)
    site.failure = Unreachable("STS is down", code="ConnectTimeoutError")
    site.now += 2600  # 1000 s left
    attempts = []
    with caplog.at_level(logging.INFO, "shotmedia.s3.credentials"):
        for _ in range(120):
            assert site.holder.get(900) is first
            if site.run_background():
                attempts.append(site.now)
            site.now += 1
    waits = [after - before for before, after in pairwise(attempts)]
    assert waits == [5, 10, 20, 30, 30]
    assert [record.message for record in caplog.records] == [
        "role: refresh failed (Unreachable, ConnectTimeoutError)"
    ]

    site.failure = None
    site.now += 30
    site.holder.get(900)
    with caplog.at_level(logging.INFO, "shotmedia.s3.credentials"):
        site.run_background()
    assert site.holder.get(900) is not first
    assert caplog.records[-1].message == "role: refreshed after 6 failures"
    assert site.holder.last_error is None


def test_under_a_minute_the_caller_waits_for_fresh_ones() -> None:
    site = Site()
    site.holder.get(10)
    site.now += 3541  # 59 s left
    assert site.holder.get(10).access_key == "KEY2"
    assert site.background == []


def test_with_a_minute_left_the_caller_does_not_wait() -> None:
    site = Site()
    first = site.holder.get(10)
    site.now += 3540
    assert site.holder.get(10) is first
    assert len(site.background) == 1


def test_in_the_last_minute_a_failed_refresh_still_answers_until_the_end() -> None:
    site = Site()
    first = site.holder.get(10)
    site.failure = Unreachable("STS is down")
    site.now += 3550
    assert site.holder.get(10) is first
    assert site.holder.get(10) is first
    assert site.calls == 2  # the second call is inside the back-off
    site.now += 50
    with pytest.raises(CredentialsUnavailable, match="STS is down"):
        site.holder.get(10)


def test_a_refused_role_is_told_and_not_asked_again_at_once() -> None:
    site = Site()
    site.failure = AccessDenied("no such role", code="AccessDenied", status=403)
    for _ in range(5):
        with pytest.raises(CredentialsUnavailable, match="no such role") as caught:
            site.holder.get(10)
    assert (caught.value.code, caught.value.status, site.calls) == ("AccessDenied", 403, 1)
    assert caught.value.__cause__ is site.failure
    site.now += 5
    site.failure = None
    assert site.holder.get(10).access_key == "KEY2"


def test_credentials_that_arrive_expired_are_refused() -> None:
    site = Site(duration=-1)
    with pytest.raises(CredentialsUnavailable, match="clock"):
        site.holder.get(10)


def test_credentials_without_expiry_are_kept() -> None:
    site = Site(duration=None)
    first = site.holder.get(900)
    site.now += 10**9
    assert site.holder.get(604_800) is first
    assert (site.calls, site.background) == (1, [])


def test_a_chain_that_answers_with_the_same_keys_is_not_asked_at_every_call() -> None:
    site = Site()
    fixed = Credentials("KEY", "secret", "token", site.now + 3600)
    site.fetch = lambda: fixed  # type: ignore[method-assign]
    asked = []
    holder = RoleCredentials(
        lambda: asked.append(site.now) or fixed,
        clock=lambda: site.now,
        start=lambda work: work(),
    )
    holder.get(900)
    site.now += 2500
    for _ in range(60):
        assert holder.get(900) == fixed
        site.now += 1
    assert [moment - asked[1] for moment in asked[1:]] == [0, 30]


def test_fifty_cold_threads_make_one_call() -> None:
    started = threading.Barrier(51)
    calls = []

    def fetch() -> Credentials:
        calls.append(1)
        if len(calls) == 1:
            started.wait(10)
        return Credentials("KEY", "secret", "token", 4_000.0)

    holder = RoleCredentials(fetch, clock=lambda: 0.0)
    answers: list[Credentials] = []

    def work() -> None:
        if not first.acquire(blocking=False):
            started.wait(10)
        answers.append(holder.get(900))

    first = threading.Lock()
    threads = [threading.Thread(target=work) for _ in range(51)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), len(answers), len({id(answer) for answer in answers})) == (1, 51, 1)


def test_fifty_cold_threads_on_a_refused_role_make_one_call() -> None:
    site = Site()
    site.failure = AccessDenied("no")
    refused = []

    def work() -> None:
        try:
            site.holder.get(10)
        except CredentialsUnavailable:
            refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (site.calls, len(refused)) == (1, 50)


def test_a_real_background_thread_renews() -> None:
    now = [0.0]
    done = threading.Event()
    numbers = iter(range(9))

    def fetch() -> Credentials:
        number = next(numbers)
        if number:
            done.set()
        return Credentials(f"KEY{number}", "s", "t", now[0] + 3600)

    holder = RoleCredentials(fetch, clock=lambda: now[0])
    holder.get(900)
    now[0] = 3000.0
    assert holder.get(900).access_key == "KEY0"
    assert done.wait(10)
    now[0] = 3600.0
    assert holder.get(10).access_key == "KEY1"


def test_a_background_that_cannot_start_hurts_neither_this_caller_nor_the_next_refresh() -> None:
    site = Site()
    site.holder.get(900)
    site.now += 3000

    def no_thread(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    site.holder._start = no_thread
    assert site.holder.get(900).access_key == "KEY1"
    site.holder._start = site.background.append
    site.now += 5
    site.holder.get(900)
    assert site.run_background() == 1
    assert site.holder.get(900).access_key == "KEY2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_not_stuck_behind_the_parents_refresh() -> None:
    site = Site()
    site.holder.get(900)
    site.now += 3000
    site.holder.get(900)  # takes the refresh lock; the work is waiting in site.background
    child = os.fork()
    if child == 0:
        site.now += 590
        os._exit(0 if site.holder.get(900).access_key == "KEY2" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(Credentials("AKIA", "hidden1", "hidden2", 5.0))
    assert "AKIA" in shown
    assert "hidden" not in shown


def config(**values: str) -> BucketConfig:
    return BucketConfig.from_mapping("m", {"region": "eu-west-1", "bucket": "b-1", **values})


def test_entries_of_a_pair_share_their_holder() -> None:
    role = "arn:aws:iam::111122223333:role/shared"
    one = credentials_for(config(aws_role_arn=role))
    assert credentials_for(config(aws_role_arn=role, bucket="b-2", prefix="p")) is one
    assert credentials_for(config(aws_role_arn=role, external_id="id")) is not one
    assert credentials_for(config(aws_role_arn=role, profile="studio")) is not one
    assert credentials_for(config(aws_role_arn=role, region="eu-west-2")) is not one


def test_the_ambient_chain_does_not_depend_on_the_region() -> None:
    assert credentials_key(config()) == credentials_key(config(region="us-east-1"))
    assert credentials_for(config()) is credentials_for(config(region="us-east-1"))


def test_session_names_are_what_sts_accepts() -> None:
    assert role_session_name("web 1.studio/ü") == "site-web-1.studio--"
    assert len(role_session_name("h" * 100)) == 64
    assert role_session_name().startswith("site-")
