"""Objects by key: an S3 bucket, and its twin in memory that passes the same contract tests."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError

from radstream.objects.fetch import Blocks, Fetcher
from radstream.settings import Settings
from schemas.errors import ObjectMissing, ObjectStoreDown, RadStreamError

_CONNECT_SECONDS = 2.0
_READ_SECONDS = 30.0
_CONNECTIONS = 32
#: The client holds one part of each put in memory.
_PART_BYTES = 8 * 1024 * 1024
#: From this many parts on it is worth their requests and hashes to be able to send one again.
_PARTS_AT_LEAST = 8
_BLOCK_BYTES = 1024 * 1024

#: S3's error codes that mean something other than "away". A test lists each and its twin.
ERROR_OF: Mapping[str, type[RadStreamError]] = {"NoSuchKey": ObjectMissing, "NoSuchObject": ObjectMissing}


#: What is stored: a file that is read on from where it stands, or the object's bytes in memory, in pieces.
Body = BinaryIO | Sequence[memoryview]


class Objects(Protocol):
    """What the system needs of an object store. Puts are idempotent: the key is the hash."""

    def put(self, key: str, body: Body, size_bytes: int) -> None:
        """Store `size_bytes` of `body`; durable as the server promises when it returns."""

    def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Store small objects by their keys; when it returns, all are stored, and where it raises, some may be."""

    def get(self, key: str) -> bytes:
        """Read an object whole; raise ObjectMissing or ObjectStoreDown."""

    def get_into(self, key: str, room: memoryview) -> int:
        """Read as much of an object as there is room for, and give its whole size (bytes).

        Raise ObjectMissing or ObjectStoreDown; what stands in `room` is worth nothing then.
        """

    def size(self, key: str) -> int | None:
        """Give an object's size (bytes), None where there is none."""

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""


class S3Objects:
    """Objects by key in an S3 bucket."""

    def __init__(self, client: Minio, bucket: str, fetcher: Fetcher) -> None:
        self._client = client
        self._bucket = bucket
        self._fetcher = fetcher

    def put(self, key: str, body: Body, size_bytes: int) -> None:
        """Store `size_bytes` of `body`; durable as the server promises when it returns.

        One request under a presigned address, its payload unsigned: no hash is computed here again, who reads an
        object compares the one that its event carries. What is larger than a part goes in parts, each hashed.
        """
        with translated(key, size_bytes):
            blocks: Blocks
            if isinstance(body, Sequence):
                blocks = partial(iter, body)
            elif size_bytes <= _PART_BYTES * _PARTS_AT_LEAST:
                blocks = partial(_blocks, body, body.tell(), size_bytes)
            else:
                self._client.put_object(self._bucket, key, body, size_bytes, part_size=_PART_BYTES)
                return
            url = self._client.presigned_put_object(self._bucket, key)
            status = self._fetcher.put(url, blocks, size_bytes)
            if status != HTTPStatus.OK:
                raise ServerError(f"PUT was answered {status}", status)

    def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Store small objects by their keys, many requests under way at one time; when it returns, all are stored."""
        with translated(f"{len(bodies)} objects", sum(map(len, bodies.values()))):
            puts = [(self._client.presigned_put_object(self._bucket, key), body) for key, body in bodies.items()]
            if wrong := [status for status in self._fetcher.put_all(puts) if status != HTTPStatus.OK]:
                raise ServerError(f"{len(wrong)} of {len(puts)} PUTs were answered {wrong[0]}", wrong[0])

    def get(self, key: str) -> bytes:
        """Read an object whole; raise ObjectMissing or ObjectStoreDown."""
        with translated(key):
            response = self._client.get_object(self._bucket, key)
            with given_back(response):
                return bytes(response.data)

    def get_into(self, key: str, room: memoryview) -> int:
        """Read as much of an object as there is room for, and give its whole size (bytes).

        Straight from the socket, so that no memory is taken for the object beside the caller's.
        """
        with translated(key):
            size = self._fetcher.get_into(self._client.presigned_get_object(self._bucket, key), room)
            if size is not None:
                return size
            # The client knows what other answers mean.
            response = self._client.get_object(self._bucket, key)
            with given_back(response):
                found = response.read()
                part = found[: len(room)]
                room[: len(part)] = part
                return len(found)

    def size(self, key: str) -> int | None:
        """Give an object's size (bytes), None where there is none."""
        try:
            with translated(key):
                return self._client.stat_object(self._bucket, key).size
        except ObjectMissing:
            return None

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with translated(key):
            self._client.remove_object(self._bucket, key)

    def ensure_bucket(self) -> None:
        """Make the bucket where it is missing: a step of deployment, never of a running service."""
        with translated(self._bucket):
            if not self._client.bucket_exists(self._bucket):
                self._client.make_bucket(self._bucket)


class MemoryObjects:
    """Objects in this process: for tests and examples."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, key: str, body: Body, size_bytes: int) -> None:
        """Store `size_bytes` of `body`."""
        self._objects[key] = b"".join(body) if isinstance(body, Sequence) else body.read(size_bytes)

    def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Store objects by their keys."""
        for key, body in bodies.items():
            self.put(key, BytesIO(body), len(body))

    def get(self, key: str) -> bytes:
        """Read an object whole; raise ObjectMissing."""
        try:
            return self._objects[key]
        except KeyError as error:
            raise ObjectMissing(f"NoSuchKey on {key}") from error

    def get_into(self, key: str, room: memoryview) -> int:
        """Read as much of an object as there is room for, and give its whole size (bytes)."""
        found = self.get(key)
        part = found[: len(room)]
        room[: len(part)] = part
        return len(found)

    def size(self, key: str) -> int | None:
        """Give an object's size (bytes), None where there is none."""
        return len(self._objects[key]) if key in self._objects else None

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._objects.pop(key, None)


def s3_objects(settings: Settings) -> S3Objects:
    """Build the adapter; connects at the first call. Retries are the caller's, so none hide in the client."""
    address = urlsplit(settings.s3_url)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        maxsize=_CONNECTIONS,
        retries=urllib3.Retry(total=0, redirect=0),
    )
    client = Minio(
        address.netloc,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        secure=address.scheme == "https",
        region="us-east-1",
        http_client=pool,
    )
    return S3Objects(client, settings.s3_bucket, Fetcher(address, _CONNECT_SECONDS, _READ_SECONDS))


@contextmanager
def given_back(response: urllib3.BaseHTTPResponse) -> Iterator[None]:
    """Give a connection back to its pool, and close it first where its answer was not read to the end."""
    try:
        yield
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()


def _blocks(body: BinaryIO, start: int, size_bytes: int) -> Iterator[bytes]:
    body.seek(start)
    while size_bytes and (block := body.read(min(size_bytes, _BLOCK_BYTES))):
        size_bytes -= len(block)
        yield block


@contextmanager
def translated(key: str, size_bytes: int = 0) -> Iterator[None]:
    """Turn what minio and urllib3 raise into our tree."""
    try:
        yield
    except S3Error as error:
        raise ERROR_OF.get(error.code or "", ObjectStoreDown)(f"{error.code} on {key} ({size_bytes} bytes)") from error
    except (HTTPError, InvalidResponseError, ServerError, OSError) as error:
        raise ObjectStoreDown(f"no answer for {key} ({size_bytes} bytes); see RADSTREAM_S3_URL") from error
