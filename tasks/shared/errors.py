"""The errors of the plumbing; the family's root and its form are in `configs.errors`."""

from configs.errors import ConfigError, Problem, RetortError

__all__ = [
    "ConfigError",
    "DataError",
    "DiskFullError",
    "LeaseLostError",
    "Problem",
    "RetortError",
    "ServiceError",
    "StageError",
    "StoreAwayError",
    "StoreError",
]


class DataError(RetortError):
    """Raised when a dataset cannot be read, lacks a column, or has no usable row."""


class StoreError(RetortError):
    """Raised when the artifact store cannot be reached, or an artifact is not what its manifest says."""


class DiskFullError(StoreError):
    """Raised when a write ends because the disk is full; nothing half-written is left."""


class StoreAwayError(StoreError):
    """Raised when the store did not answer for as long as it was waited for; it may a moment later."""


class LeaseLostError(StoreError):
    """Raised when another took over the key that this process worked on, while it was away for too long."""


class ServiceError(RetortError):
    """Raised when a server (Prefect, MLflow, S3) does not start, does not answer, or died."""


class StageError(RetortError):
    """Raised when a stage cannot go on with what it was given."""
