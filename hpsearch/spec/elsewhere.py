"""The sections of a study file about workers on other machines: `[resources.remote]`, `[resources.ray]`, and so on."""

import re
from typing import Literal

from pydantic import Field, field_validator

from hpsearch.core.rules import RuleError
from hpsearch.core.words import quoted
from hpsearch.spec.section import Section

DEFAULT_BIND = "127.0.0.1:4733"


def _checked_bind(value: str) -> str:
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.*-]+):(\d{1,5})", value)
    if found is None or int(found.group(2)) > 65535:
        raise RuleError(f"must look like {DEFAULT_BIND!r}, an address of this machine and a port", "bad-address")
    return value


class RemoteSection(Section):
    """Workers that come to the driver: ``hpsearch worker --connect HOST:PORT``."""

    bind: str = Field(
        DEFAULT_BIND,
        description='address and port at which the driver waits for workers; "0.0.0.0:4733" for other machines, too',
    )
    key_file: str | None = Field(
        None, description="file with the key of driver and workers; default: worker.key among this user's own files"
    )

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        return _checked_bind(value)


class RaySection(Section):
    """Workers as actors of a Ray cluster."""

    address: str = Field(
        "auto", description='"auto" for the cluster of this machine, "local" for one of its own, host:port, or ray://…'
    )
    cpus: float | Literal["auto"] = Field(
        "auto", description="CPUs per worker; auto: all of a node, or a share per GPU"
    )
    gpus: float | Literal["auto"] = Field("auto", description="GPUs per worker, such as 0.5; auto: 1 if there are any")
    resources: dict[str, float] = Field({}, description="further resources of Ray's that a worker needs")

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"auto|local|(ray://)?(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}", value):
            raise RuleError('must be "auto", "local", host:port or ray://host:port', "bad-address")
        return value

    @field_validator("cpus", "gpus")
    @classmethod
    def _amount(cls, value: float | str) -> float | str:
        if isinstance(value, float | int) and not 0 <= value <= 1_000:
            raise RuleError('must be from 0 to 1,000, or "auto"', "out-of-range")
        return value


class SlurmSection(Section):
    """Workers as jobs of Slurm, which the driver submits. Empty keys are left to the cluster's defaults."""

    partition: str | None = Field(None, description="partition(s), as in sbatch --partition")
    account: str | None = Field(None, description="account, as in sbatch --account")
    qos: str | None = Field(None, description="quality of service, as in sbatch --qos")
    time: str = Field("24:00:00", description="time limit of a worker; one that has reached it is submitted again")
    gres: str | None = Field(None, description='such as "gpu:1", as in sbatch --gres')
    cpus: int = Field(1, ge=1, le=1_000, description="CPUs per worker")
    memory: str | None = Field(None, description='such as "8G", as in sbatch --mem')
    options: list[str] = Field([], description='further options of sbatch, such as "--constraint=a100"')
    setup: list[str] = Field([], description='shell lines before a worker starts, such as "module load cuda"')
    host: str | None = Field(None, description="the driver's machine as its workers know it; default: its own name")
    bind: str = Field("0.0.0.0:0", description="address and port at which the driver waits; port 0: a free one")

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        return _checked_bind(value)

    @field_validator("partition", "account", "qos", "time", "gres", "memory", "host")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.,:=/@%+*-]+", value):
            raise RuleError(f"must be one word, but got {quoted(value)}", "bad-word")
        return value

    @field_validator("options")
    @classmethod
    def _options(cls, value: list[str]) -> list[str]:
        for one in value:
            if not re.fullmatch(r"--?[a-zA-Z][\w-]*(=[^\n]*)?", one):
                raise RuleError(f'must look like "--name=value", but got {quoted(one)}', "bad-option")
        return value

    @field_validator("setup")
    @classmethod
    def _lines(cls, value: list[str]) -> list[str]:
        if any("\n" in one for one in value):
            raise RuleError("must be single lines", "bad-line")
        return value
