"""The components of the system, as a table: what `up`, `status` and `--only` know."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata

from radstream.stack import probes, servers
from radstream.stack.site import Site
from radstream.stack.tools import Tools, versions


class Group(StrEnum):
    """The two stages of a start: servers first, then (once they are ready and deployed to) our services."""

    SERVERS = "servers"
    SERVICES = "services"


@dataclass(frozen=True, slots=True)
class Component:
    """One supervised process: how it starts, where it listens and how it shows that it is ready."""

    name: str
    group: Group
    ports: tuple[str, ...]  # names in the ports table; the first is its address
    command: Callable[[Site, Tools], servers.Launch]
    ready: Callable[[Site], str]  # "" when ready, else why not
    address: Callable[[Site], str]
    version: Callable[[Site], str]  # asked only of one that is ready, so it may ask the server
    prepare: Callable[[Site, Tools], None] = servers.nothing_to_prepare


def _service(
    name: str, module: Sequence[str], *ports: str, address: str = "http://127.0.0.1:{}", beside: tuple[str, ...] = ()
) -> Component:
    """Describe a service of ours: `python -m ...`, ready when its health door says so; `beside`: its other ports."""
    health = f"metrics_{name}"
    shown = ports[0] if ports else health
    return Component(
        name=name,
        group=Group.SERVICES,
        ports=(*ports, health, *beside),
        command=lambda site, _tools: servers.module(site, module, site.ports[health]),
        ready=lambda site: probes.health(site.ports[health]),
        address=lambda site: address.format(site.ports[shown]),
        version=lambda _site: metadata.version("radstream"),
    )


COMPONENTS: tuple[Component, ...] = (
    Component(
        name="kafka",
        group=Group.SERVERS,
        ports=("kafka", "kafka_controller"),
        command=servers.kafka,
        ready=probes.kafka,
        address=lambda site: site.environment["RADSTREAM_KAFKA_BOOTSTRAP"],
        version=lambda _site: versions()["KAFKA_VERSION"],
        prepare=servers.format_kafka,
    ),
    Component(
        name="registry",
        group=Group.SERVERS,
        ports=("registry", "registry_management"),
        command=servers.registry,
        ready=probes.registry,
        address=lambda site: site.environment["RADSTREAM_SCHEMA_REGISTRY_URL"],
        version=lambda _site: versions()["APICURIO_VERSION"],
    ),
    Component(
        name="object_store",
        group=Group.SERVERS,
        ports=("object_store",),
        command=servers.object_store,
        ready=probes.object_store,
        address=lambda site: site.environment["RADSTREAM_S3_URL"],
        version=lambda _site: versions()["VERSITYGW_VERSION"],
        prepare=servers.make_object_folders,
    ),
    Component(
        name="postgres",
        group=Group.SERVERS,
        ports=("postgres",),
        command=servers.postgres,
        ready=probes.postgres,
        address=lambda site: f"postgresql://radstream@127.0.0.1:{site.ports['postgres']}/radstream",
        version=probes.postgres_version,
        prepare=servers.init_postgres,
    ),
    Component(
        name="redis",
        group=Group.SERVERS,
        ports=("redis",),
        command=servers.redis,
        ready=probes.redis_server,
        address=lambda site: site.environment["RADSTREAM_REDIS_URL"],
        version=probes.redis_version,
        prepare=servers.make_redis_folder,
    ),
    Component(
        name="prometheus",
        group=Group.SERVERS,
        ports=("prometheus",),
        command=servers.prometheus,
        ready=probes.prometheus,
        address=lambda site: f"http://127.0.0.1:{site.ports['prometheus']}",
        version=probes.prometheus_version,
        prepare=servers.write_prometheus_config,
    ),
    _service("dicom_listener", ["dicom_listener"], "dicom", beside=("dicom_tls",), address="127.0.0.1:{}"),
    _service("inference", ["consumers", "inference"], beside=("predict",)),
    _service("sink", ["consumers", "sink"]),
    _service("streams", ["streams"]),
    _service("training", ["training"]),
)

BY_NAME: Mapping[str, Component] = {component.name: component for component in COMPONENTS}


def chosen(names: Sequence[str]) -> tuple[Component, ...]:
    """Return the components of these names in the table's order; none named means all."""
    return tuple(component for component in COMPONENTS if not names or component.name in names)
