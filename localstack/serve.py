"""Runs LocalStack's S3 on the loopback address, for tests.

Differs from `python -m localstack.runtime.main` in six ways:

- It listens on 127.0.0.1 only. LocalStack's own server drops the host it is
  told to listen on and takes every interface, and it checks no credentials.
- It asks no name server. LocalStack would look up a name below its own host
  name, and stall where no name server answers.
- It exits with an error when the port is taken. LocalStack would log that,
  find somebody answering on the port, and declare itself ready.
- Its cache (the parsed AWS service models, some seconds of work) is shared by
  all instances. Everything else stays in the instance's data directory.
- A PUT whose body is cut, or does not match its checksum, leaves the object
  that lies there as it is. LocalStack would empty it first, and answer each
  GET after that with a body that breaks off.
- With DRIFTLINE_UNTIL_EOF=1 it ends when its standard input does, so that it
  cannot outlive a test process that was killed.
"""

import base64
import io
import os
import sys
import threading

from localstack import config
from localstack.aws.api.s3 import BadDigest
from localstack.runtime import main
from localstack.services.s3.constants import S3_CHUNK_SIZE
from localstack.services.s3.storage.ephemeral import EphemeralS3StoredObject
from localstack.services.s3.utils import get_s3_checksum
from localstack.utils.aws import aws_stack
from twisted.internet import endpoints


class LoopbackEndpoint(endpoints.TCP4ServerEndpoint):
    def __init__(self, reactor, port, backlog=50, interface=""):
        super().__init__(reactor, port, backlog, interface="127.0.0.1")

    def listen(self, factory):
        return super().listen(factory).addErrback(give_up)


def give_up(failure):
    print(f"ERROR: {failure.getErrorMessage()}", file=sys.stderr, flush=True)
    # Nothing is served and nothing is stored yet: no shutdown to wait for.
    os._exit(1)


replace_content = EphemeralS3StoredObject.write


def write(stored, stream):
    body = io.BytesIO()
    while stream is not None and (part := stream.read(S3_CHUNK_SIZE)):
        body.write(part)
    algorithm = stored.s3_object.checksum_algorithm
    expected = stored.s3_object.checksum_value
    if algorithm and expected:
        checksum = get_s3_checksum(algorithm)
        checksum.update(body.getvalue())
        if base64.b64encode(checksum.digest()).decode() != expected:
            raise BadDigest(
                f"The {algorithm.upper()} you specified did not match the calculated checksum."
            )
    body.seek(0)
    return replace_content(stored, body)


def exit_at_eof():
    while os.read(0, 4096):
        pass
    # The owner is gone and the state is in memory: a clean stop saves nothing.
    os._exit(0)


endpoints.TCP4ServerEndpoint = LoopbackEndpoint
EphemeralS3StoredObject.write = write
aws_stack.CACHE_S3_HOSTNAME_DNS_STATUS = False
config.dirs.cache = os.environ["DRIFTLINE_LOCALSTACK_CACHE"]

if os.environ.get("DRIFTLINE_UNTIL_EOF") == "1":
    threading.Thread(target=exit_at_eof, daemon=True).start()

main.main()
