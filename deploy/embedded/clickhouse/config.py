"""The engine's configuration file: small caches and few background threads, for a machine that runs more than this."""

from __future__ import annotations

from pathlib import Path

# More merges at once than threads, and large ones only while slots are free: else inserts without a pause keep all of
# them, and a DELETE, which is a mutation, has been seen to wait for 24 minutes (7 s at most with these, on 2 cores).
_TEMPLATE = """<clickhouse>
    <timezone>UTC</timezone>
    <max_server_memory_usage>{memory}</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <uncompressed_cache_size>0</uncompressed_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <index_uncompressed_cache_size>0</index_uncompressed_cache_size>
    <primary_index_cache_size>67108864</primary_index_cache_size>
    <query_condition_cache_size>16777216</query_condition_cache_size>
    <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
    <background_pool_size>2</background_pool_size>
    <background_merges_mutations_concurrency_ratio>4</background_merges_mutations_concurrency_ratio>
    <background_processing_pool_task_sleep_seconds_when_no_work_max>5</background_processing_pool_task_sleep_seconds_when_no_work_max>
    <background_schedule_pool_size>8</background_schedule_pool_size>
    <background_common_pool_size>2</background_common_pool_size>
    <background_move_pool_size>1</background_move_pool_size>
    <background_fetches_pool_size>1</background_fetches_pool_size>
    <background_buffer_flush_schedule_pool_size>2</background_buffer_flush_schedule_pool_size>
    <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
    <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
    <merge_tree>
        <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>6</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
        <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    </merge_tree>
</clickhouse>
"""


def write(path: Path, memory: int) -> None:
    """Write the file; ``memory`` bounds what the engine allocates for queries, in bytes, 0 for its own default."""
    path.write_text(_TEMPLATE.format(memory=memory))
