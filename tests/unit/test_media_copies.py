"""The circuit breaker and what a look at the replica teaches."""

from media.copies import RETRY_AFTER, Circuit, learn
from media.models import ReplicaCopy
from media.replication import Finding


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def opened(clock):
    circuit = Circuit(limit=3, pause=15, clock=clock)
    for _ in range(3):
        circuit.failed()
    return circuit


def test_the_circuit_opens_after_three_failures_in_a_row():
    circuit = Circuit(limit=3, pause=15, clock=Clock())
    circuit.failed()
    circuit.failed()
    circuit.answered()
    circuit.failed()
    circuit.failed()
    assert not circuit.is_open()
    assert circuit.take_turn()
    circuit.failed()
    assert circuit.is_open()
    assert not circuit.take_turn()


def test_after_the_pause_one_caller_tries():
    clock = Clock()
    circuit = opened(clock)
    clock.now += 15
    assert not circuit.is_open()
    assert [circuit.take_turn() for _ in range(3)] == [True, False, False]
    assert circuit.is_open()


def test_an_answer_closes_the_circuit():
    clock = Clock()
    circuit = opened(clock)
    clock.now += 15
    assert circuit.take_turn()
    circuit.answered()
    assert [circuit.take_turn() for _ in range(3)] == [True, True, True]
    assert not circuit.is_open()


def test_a_failed_try_opens_it_again():
    clock = Clock()
    circuit = opened(clock)
    clock.now += 15
    assert circuit.take_turn()
    circuit.failed()
    clock.now += 14
    assert circuit.is_open()


def test_an_answer_vouches_for_a_moment_only_and_not_after_a_failure():
    clock = Clock()
    circuit = Circuit(clock=clock)
    assert not circuit.answered_within(0.25)
    circuit.answered()
    assert circuit.answered_within(0.25)
    clock.now += 0.25
    assert not circuit.answered_within(0.25)
    circuit.answered()
    circuit.failed()
    assert not circuit.answered_within(0.25)


def test_a_missing_copy_is_looked_for_less_and_less_often():
    waits = [learn(Finding.MISSING, tries).next_check_in for tries in range(12)]
    assert waits == [*RETRY_AFTER, *[3600] * 4]


def test_a_found_copy_is_ready_and_forgets_the_tries():
    knowledge = learn(Finding.FOUND, 5)
    assert (knowledge.state, knowledge.tries) == (ReplicaCopy.State.READY, 0)


def test_a_403_is_unknown_and_never_missing():
    assert learn(Finding.DENIED, 0).state == ReplicaCopy.State.UNKNOWN


def test_no_answer_teaches_nothing_about_the_copy():
    assert learn(Finding.NO_ANSWER, 0) is None
