"""The embedded S3 of the demo and the tests: moto behind a verifying front.

It accepts what AWS accepts and refuses what AWS refuses: signatures are recomputed with botocore's
signer, CORS follows each bucket's rules, replication takes its time, and faults can be injected.
"""

from shotmedia.emulator.faults import Fault
from shotmedia.emulator.server import Emulator, Record
from shotmedia.emulator.store import Bucket
from shotmedia.emulator.sts import Role

__all__ = ["Bucket", "Emulator", "Fault", "Record", "Role"]
