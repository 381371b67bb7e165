import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotmedia.emulator.blobs import IN_MEMORY, Blob, BlobReader, Spool, store
from shotmedia.emulator.faults import Faults
from shotmedia.emulator.listing import page_of
from shotmedia.emulator.replication import Replication
from shotmedia.emulator.store import Bucket, Store


def stored(data: bytes, spool: Spool | None = None) -> Blob:
    return store(io.BytesIO(data).readinto, len(data), spool or Spool(), lambda block: None)


def test_large_bodies_are_on_disk_and_small_ones_in_memory():
    assert isinstance(stored(b"a" * IN_MEMORY).segments[0][0], bytes)
    large = stored(b"a" * (IN_MEMORY + 1))
    assert not isinstance(large.segments[0][0], bytes)
    assert large.read() == b"a" * (IN_MEMORY + 1)


def test_parts_share_one_file_and_join_without_a_copy():
    spool = Spool()
    first, second = b"a" * (IN_MEMORY + 5), b"b" * (IN_MEMORY + 9)
    one, two = stored(first, spool), stored(second, spool)
    joined = Blob.joined([one, two])
    assert len(joined.segments) == 1
    assert joined.segments[0][0] is one.segments[0][0]
    assert joined.read() == first + second
    assert Blob.joined([two, one]).read() == second + first


def test_too_short_a_body_is_no_object():
    with pytest.raises(EOFError):
        store(io.BytesIO(b"abc").readinto, 4, Spool(), lambda block: None)


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_any_stretch_of_any_pieces(pieces, offset, length):
    whole = b"".join(pieces)
    blob = Blob.joined([Blob.of(piece) for piece in pieces])
    assert blob.read(offset, length) == whole[offset : offset + length]
    assert blob.slice(offset, length).read() == whole[offset : offset + length]
    reader = BlobReader(blob)
    reader.seek(offset)
    assert reader.read() == whole[offset:]


@given(
    st.sets(st.text("ab/", min_size=1, max_size=5), max_size=30),
    st.text("ab/", max_size=2),
    st.sampled_from(["", "/"]),
    st.integers(1, 5),
)
def test_pages_together_are_the_whole_listing(names, prefix, delimiter, limit):
    ordered = sorted(names)
    whole = page_of(ordered, prefix, delimiter, "", 10_000)
    keys, prefixes, after = [], [], ""
    while True:
        page = page_of(ordered, prefix, delimiter, after, limit)
        assert len(page.keys) + len(page.prefixes) <= limit
        keys += page.keys
        prefixes += page.prefixes
        if not page.truncated:
            break
        after = page.last
    assert (keys, prefixes) == (whole.keys, whole.prefixes)
    inside = [name for name in ordered if name.startswith(prefix)]
    if not delimiter:
        assert keys == inside


class World:
    def __init__(self, lag: float = 10.0) -> None:
        self.time = 1_000_000.0
        self.store = Store(lambda: self.time)
        for bucket in (Bucket("primary"), Bucket("replica", "eu-west-1", "primary")):
            self.store.create_bucket(bucket, True)
        self.faults = Faults()
        targets = {"primary": ["replica"]}
        self.replication = Replication(self.store, self.faults, targets, lag, lambda: self.time)

    def put(self, key: str, data: bytes = b"data"):
        made = self.store.put(
            "primary",
            key,
            Blob.of(data),
            "0" * 32,
            {"content-type": "text/plain", "x-amz-meta-a": "b"},
            replication_status=self.replication.first_status("primary"),
        )
        self.replication.created("primary", made)
        return made

    def in_replica(self, key: str):
        return self.store.find("replica", key).key

    def status(self, key: str) -> str:
        return self.store.find("primary", key).key.replication_status


@pytest.fixture
def world():
    made = World()
    yield made
    made.store.close()


def test_replica_appears_after_the_lag_with_everything(world):
    source = world.put("k")
    world.time += 9.9
    assert world.replication.replicate_due() == 0
    assert world.in_replica("k") is None
    assert world.status("k") == "PENDING"
    world.time += 0.2
    assert world.replication.replicate_due() == 1
    copy = world.in_replica("k")
    assert copy.etag == source.etag
    assert copy.version_id == source.version_id
    assert dict(copy.metadata) == dict(source.metadata)
    assert copy.last_modified == source.last_modified
    assert copy.replication_status == "REPLICA"
    assert world.status("k") == "COMPLETED"
    assert world.store.find("replica", "k").blob.read() == b"data"


def test_lag_can_be_changed_while_objects_wait(world):
    world.put("k")
    world.time += 2
    world.replication.lag = 1
    assert world.replication.replicate_due() == 1


def test_deleted_objects_never_appear(world):
    world.put("gone")
    world.store.delete("primary", "gone")
    exact = world.put("exact")
    world.store.delete("primary", "exact", exact.version_id)
    world.time += 100
    assert world.replication.replicate_due() == 0
    assert world.in_replica("gone") is None
    assert world.in_replica("exact") is None
    assert world.replication.waiting == []


def test_replica_that_is_down_keeps_pending(world):
    world.put("k")
    world.faults.add("replica", refuse=True)
    world.time += 100
    assert world.replication.replicate_due() == 0
    assert world.status("k") == "PENDING"
    world.faults.clear("replica")
    world.faults.add("replica", status=503, methods=("GET",))
    assert world.replication.replicate_due() == 1


def test_failed_is_final_and_per_key(world):
    world.put("good")
    world.put("bad/one")
    world.faults.add("primary", fail_replication=True, key="bad/")
    world.time += 100
    assert world.replication.replicate_due() == 1
    assert (world.status("good"), world.status("bad/one")) == ("COMPLETED", "FAILED")
    world.faults.clear()
    assert world.replication.replicate_due() == 0
    assert world.in_replica("bad/one") is None


def test_two_stores_may_use_the_same_names():
    first, second = World(), World()
    first.put("k", b"first")
    assert second.store.find("primary", "k").key is None
    first.store.close()
    second.put("k", b"second")
    assert second.store.find("primary", "k").blob.read() == b"second"
    second.store.close()


def test_overwritten_bytes_are_freed():
    world = World()
    tracked = len(type(world.put("k")).instances_tracked)
    for _ in range(5):
        world.put("k")
    assert len(type(world.put("k")).instances_tracked) == tracked
    world.store.close()
