"""The schema registry (Confluent API): look-ups for services, registration for the deployment alone."""

import json
from http import HTTPStatus
from typing import Any

import stamina
import urllib3
from urllib3.exceptions import HTTPError

from schemas.codec import avro_text
from schemas.errors import RegistryDown, SchemaMissing
from schemas.topics import RECORD_OF, subject

COMPATIBILITY = "BACKWARD_TRANSITIVE"
#: How long a deployment asks a registry that doesn't answer; every request of it can be repeated.
DEPLOY_SECONDS = 60.0
_TIMEOUT = urllib3.Timeout(connect=2.0, read=10.0)
_CONTENT = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class RegistryIds:
    """Ids and schemas by HTTP, each asked once. Never registers: a missing schema is SchemaMissing."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._ids: dict[str, int] = {}
        self._schemas: dict[int, str] = {}

    def id_of(self, topic: str) -> int:
        """Give the id of our schema, exactly as it stands here, under the topic's subject."""
        if topic not in self._ids:
            asked = {"schema": avro_text(RECORD_OF[topic]), "schemaType": "AVRO"}
            found = self._ask("POST", f"/subjects/{subject(topic)}", asked, f"the schema of {topic}")
            self._ids[topic] = int(found["id"])
        return self._ids[topic]

    def schema_of(self, schema_id: int) -> str:
        """Give a writer's schema."""
        if schema_id not in self._schemas:
            found = self._ask("GET", f"/schemas/ids/{schema_id}", None, f"schema id {schema_id}")
            self._schemas[schema_id] = str(found["schema"])
        return self._schemas[schema_id]

    def deploy(self) -> dict[str, int]:
        """Register every schema, each change checked BACKWARD_TRANSITIVE; give each topic's id. For deployments."""
        self._ask("PUT", "/config", {"compatibility": COMPATIBILITY}, "the compatibility level")
        for topic, record in RECORD_OF.items():
            new = {"schema": avro_text(record), "schemaType": "AVRO"}
            self._ask("PUT", f"/config/{subject(topic)}", {"compatibility": COMPATIBILITY}, f"the level of {topic}")
            self._ask("POST", f"/subjects/{subject(topic)}/versions", new, f"the schema of {topic}")
        return {topic: self.id_of(topic) for topic in RECORD_OF}

    def _ask(self, method: str, path: str, body: object, what: str) -> Any:
        try:
            answer = self._http.request(
                method, self._url + path, body=None if body is None else json.dumps(body), headers=_CONTENT
            )
        except HTTPError as error:
            raise RegistryDown(f"no answer from {self._url}; see RADSTREAM_SCHEMA_REGISTRY_URL") from error
        if answer.status == HTTPStatus.OK:
            return json.loads(answer.data)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise SchemaMissing(f"the registry refuses {what} ({answer.status}): is this version deployed?")
        raise RegistryDown(f"{self._url} answered {answer.status} for {what}")


# A registry that has just come up compiles its first answers: on a busy machine one may take longer than we wait.
@stamina.retry(on=RegistryDown, attempts=None, timeout=DEPLOY_SECONDS, wait_initial=0.2, wait_max=2.0)
def deploy_schemas(url: str) -> dict[str, int]:
    """Register every schema of ours (see RegistryIds.deploy), again and again while the registry doesn't answer."""
    return RegistryIds(url).deploy()
