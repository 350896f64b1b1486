-- Compressed blocks as small as what is read of a column at once: a granule of 1,024 rows had 64 kB and more unpacked.
-- migrate:up
ALTER TABLE ${database}.events_by_actor${local}${on_cluster}
    MODIFY SETTING min_compress_block_size = 8192, max_compress_block_size = 16384;

-- migrate:down
ALTER TABLE ${database}.events_by_actor${local}${on_cluster}
    RESET SETTING min_compress_block_size, max_compress_block_size;
