-- What one call finds, before it is summed up; gone with its transaction. kept: sums of what stays.
create temp table base_new (
    counter integer, source integer, key text collate "C", label text collate "C", start bigint,
    negative boolean, value numeric
) on commit drop;
create temp table base_kept (like base_new) on commit drop
