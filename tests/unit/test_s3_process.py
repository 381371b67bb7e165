"""shotmedia.s3.process: values built once per key and process."""

import os
import threading

import pytest

from shotmedia.s3.process import ProcessCache, forget_all


def test_equal_keys_are_built_once_by_many_threads() -> None:
    cache = ProcessCache()
    built: list[int] = []
    together = threading.Barrier(20)
    answers = []

    def work() -> None:
        together.wait(10)
        answers.append(cache.get(("a", 1), lambda: built.append(1) or object()))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(built), len(answers), len(set(map(id, answers)))) == (1, 20, 1)


def test_a_failed_build_is_tried_again() -> None:
    cache = ProcessCache()
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 7) == 7


def test_a_build_may_use_the_cache() -> None:
    cache = ProcessCache()
    assert cache.get("a", lambda: cache.get("b", lambda: 1) + 1) == 2


def test_the_oldest_value_makes_room() -> None:
    cache = ProcessCache(limit=2)
    for key in "abc":
        cache.get(key, lambda key=key: key)
    assert cache.get("c", lambda: "new") == "c"
    assert cache.get("a", lambda: "new") == "new"


def test_everything_can_be_forgotten_at_once() -> None:
    caches = [ProcessCache(), ProcessCache()]
    for cache in caches:
        cache.get("a", lambda: "old")
    forget_all()
    assert [cache.get("a", lambda: "new") for cache in caches] == ["new", "new"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_builds_its_own_even_when_the_lock_was_held() -> None:
    cache = ProcessCache()
    cache.get("a", lambda: "parent")
    holding, release = threading.Event(), threading.Event()

    def slow() -> str:
        holding.set()
        release.wait(10)
        return "slow"

    thread = threading.Thread(target=cache.get, args=("b", slow))
    thread.start()
    holding.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if cache.get("a", lambda: "child") == "child" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    release.set()
    thread.join()
    assert cache.get("a", lambda: "again") == "parent"
