"""The RocksDB of a table: one that is damaged is thrown away, the changelog has it all."""

from __future__ import annotations

import shutil
from typing import Any

from faust.stores.rocksdb import Store

# In what RocksDB says on opening. A lock of another process, a full disk or a missing permission
# are none of these: nothing is wrong with the files then.
DAMAGES = ("Corruption", "No such file or directory")


class TableStore(Store):
    """Opens a partition empty where its files cannot be opened, so that it is recovered anew."""

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
