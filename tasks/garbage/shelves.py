"""The stores of a home, each with what lies in it."""

from dataclasses import dataclass

from tasks.place import STORE, Place
from tasks.shared.s3_bucket import Bucket
from tasks.shared.store import Store
from tasks.shared.store_files import BucketFiles, FolderFiles, StoreFiles


@dataclass(frozen=True)
class Shelf:
    """A store, and what lies in it."""

    store: Store
    files: StoreFiles


def shelves(place: Place) -> list[Shelf]:
    """Every store of a place with what lies in it, in the order of `Place.stores`."""
    files: list[StoreFiles] = [FolderFiles(place.home / STORE)]
    if place.s3_endpoint is not None and place.s3_bucket is not None:
        files.insert(0, BucketFiles(Bucket(place.s3_bucket, place.s3_endpoint)))
    return [Shelf(store, own) for store, own in zip(place.stores(), files, strict=True)]
