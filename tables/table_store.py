"""The RocksDB of a table: one that is damaged is thrown away, the changelog has it all."""

from __future__ import annotations

import shutil
from typing import Any

import rocksdict
from faust.stores.rocksdb import RocksDBOptions, Store

# Faust's defaults are 2 GB of cache and 3 memtables of 64 MB, per partition.
CACHE_SIZE = 128 << 20  # bytes, of all partitions of all tables of a process
MEMTABLES_SIZE = 96 << 20  # bytes, likewise; beyond it they are written early
MEMTABLE_SIZE = 8 << 20  # bytes, of a partition
BLOOM_BITS = 10  # of a key; Faust's 3 let a quarter of the keys that are not there through

# In what RocksDB says on opening. A lock of another process, a full disk or a missing permission
# are none of these: nothing is wrong with the files then.
DAMAGES = ("Corruption", "No such file or directory")


_cache = rocksdict.Cache(CACHE_SIZE)
_memtables = rocksdict.WriteBufferManager(MEMTABLES_SIZE, allow_stall=False)


def memory() -> dict[str, int]:
    """Return how many bytes RocksDB has in memory: blocks of files, and what is not written yet."""
    return {"cache": _cache.get_usage(), "memtables": _memtables.get_usage()}


class SharedOptions(RocksDBOptions):
    """Options of a partition. Cache and memtables of all partitions have one bound."""

    write_buffer_size = MEMTABLE_SIZE
    bloom_filter_size = BLOOM_BITS

    def as_options(self) -> Any:
        """Return what RocksDB opens a partition with."""
        options, blocks = super().as_options(), rocksdict.BlockBasedOptions()
        blocks.set_bloom_filter(self.bloom_filter_size, block_based=True)
        blocks.set_block_cache(_cache)
        blocks.set_cache_index_and_filter_blocks(True)
        options.set_block_based_table_factory(blocks)
        options.set_write_buffer_manager(_memtables)
        return options


class TableStore(Store):
    """Opens a partition empty where its files cannot be opened, so that it is recovered anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rocksdb_options = SharedOptions()

    def _open_for_partition(self, partition: int) -> Any:
        try:
            return super()._open_for_partition(partition)
        except Exception as exc:  # rocksdict has no classes of its own
            path = self.partition_path(partition)
            if not path.exists() or not any(word in str(exc) for word in DAMAGES):
                raise
            self.log.warning("%s is damaged, recovering it from its changelog: %s", path, exc)
            shutil.rmtree(path)
            return super()._open_for_partition(partition)
