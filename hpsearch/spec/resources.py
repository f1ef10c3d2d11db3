"""What trains, and on which hardware: a section of the study file."""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from hpsearch.core.registries import ENGINES, EXECUTORS
from hpsearch.core.rules import RuleError
from hpsearch.spec.elsewhere import RaySection, RemoteSection, SlurmSection
from hpsearch.spec.section import Section, named

_MOST = 1_000
"""Workers, threads, or trials of a bundle."""


class ResourcesSection(Section):
    """What trains, and on which hardware."""

    engine: Annotated[str, *named(ENGINES, "auto")] = Field("auto", description="auto: fused if the model allows it")
    backend: Literal["auto", "tensorflow", "jax"] = Field("auto", description="Keras backend of the fit engine")
    executor: Annotated[str, *named(EXECUTORS)] = Field("processes", description="where the workers run")
    workers: int | Literal["auto"] = Field(
        "auto", description="number of processes; auto: gpu_share per GPU, else one with all cores"
    )
    gpus: list[int | str] | Literal["auto"] = Field(
        "auto", description='GPUs to use: numbers, UUIDs ("GPU-…") or MIG devices ("MIG-…"); [] for none'
    )
    gpu_share: int = Field(1, ge=1, le=_MOST, description="workers per GPU; each gets its part of the memory")
    threads: int | Literal["auto"] = Field("auto", description="CPU threads per worker; auto: cores / workers")
    trials_per_bundle: int | Literal["auto"] = Field("auto", description="trials that train together (fused)")
    files: list[str] = Field([], description="further files that workers elsewhere need, such as data/*.npy")
    remote: RemoteSection = Field(RemoteSection(), description='executor = "remote": workers that come to the driver')
    ray: RaySection = Field(RaySection(), description='executor = "ray": actors of a Ray cluster')
    slurm: SlurmSection = Field(SlurmSection(), description='executor = "slurm": jobs of Slurm')
    max_retries: int = Field(2, ge=0, description="how often to retry a bundle after its worker dies")
    epoch_timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds without a finished epoch after which a worker is ended; building and compiling count",
    )
    trial_timeout: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds that a trial may train, on all folds together, before its worker is ended; a "
        "refit has as long for each trial that it trains",
    )

    @field_validator("files")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for one in value:
            parts = one.replace("\\", "/").split("/")
            if not one.strip() or ".." in parts or parts[0] in ("", "~") or any("**" in p and p != "**" for p in parts):
                raise RuleError(
                    f"must be patterns of files below the study file's folder, such as data/*.npy, but got {one!r}",
                    "bad-pattern",
                    received=one,
                )
        return value

    @field_validator("gpus")
    @classmethod
    def _names(cls, value: list[int | str] | str) -> list[int | str] | str:
        for one in value if isinstance(value, list) else ():
            if isinstance(one, str) and not re.fullmatch(r"(GPU|MIG)-[\w./-]*", one):
                raise RuleError(
                    f'a GPU is a number, or a UUID such as "GPU-8f6…" or "MIG-c3a…" (nvidia-smi -L), not {one!r}',
                    "bad-gpu",
                    received=one,
                )
            if isinstance(one, int) and one < 0:
                raise RuleError(f"GPUs are counted from 0, so none is {one}; [] is for none", "bad-gpu", received=one)
        return value

    @field_validator("gpu_share")
    @classmethod
    def _one_number(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and isinstance(info.data.get("workers"), int):
            raise RuleError(
                f"workers = {info.data['workers']} and gpu_share = {value} both say how many workers there are; "
                "remove one of the two",
                "conflicting-keys",
                received=value,
            )
        return value

    @field_validator("workers", "threads", "trials_per_bundle")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= _MOST:
            raise RuleError(f'must be from 1 to {_MOST:,}, or "auto"', "out-of-range")
        return value
