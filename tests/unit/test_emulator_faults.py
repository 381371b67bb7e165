import pytest

from shotmedia.emulator.faults import Fault, Faults, Pace


def test_without_faults_nothing_happens():
    effect = Faults().effect("media", "GET", "k")
    assert (effect.delay, effect.refuse, effect.error, effect.slowed_by) == (0.0, False, None, None)


def test_status_only_for_some_methods_and_keys():
    faults = Faults()
    faults.add("media", status=403, methods=("GET",), key="x/")
    assert faults.effect("media", "GET", "a/x/b").error.code == "AccessDenied"
    assert faults.effect("media", "PUT", "a/x/b").error is None
    assert faults.effect("media", "GET", "a/y").error is None
    assert faults.effect("other", "GET", "a/x/b").error is None


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (404, "NoSuchKey"), (503, "SlowDown")]
)
def test_codes(status, code):
    error = Fault(status=status).refusal("k")
    assert (error.status, error.code) == (status, code)


def test_own_code_and_message():
    error = Fault(status=403, code="KMS.DisabledException", message="no key").refusal("k")
    assert (error.code, error.message) == ("KMS.DisabledException", "no key")
    with pytest.raises(ValueError, match="needs a `code`"):
        Fault(status=418)


def test_headers_of_an_error_and_answers_that_a_proxy_has_touched():
    faults = Faults()
    faults.add("media", status=301, headers={"x-amz-bucket-region": "us-west-2"})
    faults.add("media", hide_cors=True, methods="GET")
    faults.add("media", corrupt=True, methods="GET")
    effect = faults.effect("media", "GET", "k")
    assert effect.error.headers == {"x-amz-bucket-region": "us-west-2"}
    assert (effect.hide_cors, effect.corrupt) == (True, True)
    put = faults.effect("media", "PUT", "k")
    assert (put.hide_cors, put.corrupt) == (False, False)


def test_count():
    faults = Faults()
    faults.add("media", status=503, count=2)
    errors = [faults.effect("media", "GET", "k").error is not None for _ in range(3)]
    assert errors == [True, True, False]


def test_status_spares_preflights_unless_named():
    faults = Faults()
    faults.add("media", status=503)
    assert faults.effect("media", "OPTIONS", "k").error is None
    faults.add("media", status=403, methods="OPTIONS,GET")
    assert faults.effect("media", "OPTIONS", "k").error.status == 403


def test_clear_one_bucket_or_all():
    faults = Faults()
    faults.add("a", refuse=True)
    faults.add("b", refuse=True)
    faults.clear("a")
    assert (faults.refuses("a"), faults.refuses("b")) == (False, True)
    faults.clear()
    assert not faults.refuses("b")


def test_rate_is_shared_and_exact():
    fault = Fault(rate_mb_s=2)
    waited = 0.0
    now = 100.0
    for _ in range(40):
        waited = fault.wait_for(100_000, now)
        now += waited
    # 4 MB at 2 MB/s, less what may pass at once in the beginning.
    assert now - 100.0 == pytest.approx(2.0, abs=0.2)


def test_pace_without_fault_never_waits():
    waits = []
    Pace(None, waits.append).passed(10**9)
    Pace(Fault(rate_mb_s=1), waits.append).passed(10**6)
    assert len(waits) == 1
    assert waits[0] == pytest.approx(0.9, abs=0.05)
