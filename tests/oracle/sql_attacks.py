"""Statements that try to leave their workspace: known escapes, and a grammar of them.

`{other}` is the other workspace's id, `{file}` a file that holds a canary, `{port}` a port nobody may connect to.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator

TABLES = [
    *("cdp.events_track", "`cdp`.`events_track`", '"cdp"."events_track"', "cdp . events_track", "`cdp.events_track`"),
    *("cdp.identity", "cdp.identity_links", "identity_links", "cdp.identity_merges", "cdp.identity_blocked"),
    *("system.one", "system.tables", "`system`.`tables`", "`system.tables`", "system.processes", "system.query_log"),
    *("system.parts", "system.columns", "system.settings", "system.users", "system.numbers", "system.functions"),
    *(
        "information_schema.tables",
        "INFORMATION_SCHEMA.TABLES",
        "default.x",
        "cdp.events_track_local",
        "schema_migrations",
    ),
    *("cdp.`.inner.x`", "cdp/**/.events_track", "cdp.\nevents_track", "profiles", "traits", "segment_members"),
]
"""Tables that are not the workspace's own."""

TABLE_FUNCTIONS = [
    *(
        "merge('cdp', 'events_.*')",
        "merge('cdp', '^events_track$')",
        "merge('events_track')",
        "merge(REGEXP('.*'), '.*')",
    ),
    *("remote('127.0.0.1:{port}', cdp.events_track)", "remoteSecure('127.0.0.1:{port}', 'cdp', 'events_track')"),
    *(
        "remote('127.0.0.1', view(SELECT 1))",
        "cluster('default', cdp.events_track)",
        "clusterAllReplicas('default', system.one)",
    ),
    *("url('http://127.0.0.1:{port}/', 'CSV', 'a String')", "urlCluster('default', 'http://127.0.0.1:{port}/', 'CSV')"),
    *("file('{file}', 'LineAsString')", "file('{file}')", "fileCluster('default', '{file}', 'LineAsString')"),
    *(
        "s3('http://127.0.0.1:{port}/b/k', 'CSV')",
        "s3Cluster('default', 'http://127.0.0.1:{port}/b/k')",
        "gcs('http://127.0.0.1:{port}/b')",
    ),
    *(
        "hdfs('hdfs://127.0.0.1:{port}/x', 'CSV')",
        "mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        "azureBlobStorage('x', 'y', 'z')",
    ),
    *(
        "postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        "mongodb('127.0.0.1:{port}', 'd', 'c', 'u', 'p', 'a Int8')",
    ),
    *("redis('127.0.0.1:{port}', 'k', 'k String')", "sqlite('{file}', 't')", "odbc('DSN=x', 't')", "jdbc('x', 't')"),
    *("executable('cat {file}', 'LineAsString', 'l String')", "executablePool('x', 'TSV', 'l String')", "python('x')"),
    *(
        "input('a String')",
        "dictionary('cdp.identity')",
        "dictionary('identity')",
        "loop(cdp.events_track)",
        "loop('cdp', 'events_track')",
    ),
    *(
        "mergeTreeIndex('cdp', 'events_track')",
        "mergeTreeProjection('cdp', 'events_track', 'p')",
        "mergeTreeAnalyzeIndexes(cdp, events_track)",
    ),
    *(
        "eval('SELECT 1')",
        "viewIfPermitted(SELECT 1 ELSE null('a Int8'))",
        "generateRandom('a String', 1, 10)",
        "fuzzJSON('x')",
    ),
    *(
        "fuzzQuery('SELECT 1')",
        "numbers(100000000000)",
        "numbers_mt(100000000000)",
        "zeros(100000000000)",
        "primes()",
        "system.numbers",
    ),
    *(
        "generateSeries(0, 100000000000)",
        "format('CSV', '1')",
        "values('a Int8', 1)",
        "null('a Int8')",
        "iceberg('x')",
        "deltaLake('x')",
    ),
    *(
        "timeSeriesData('cdp', 'x')",
        "prometheusQuery('x', 'y', 1)",
        "ytsaurus('x', 'y', 'z', 'a Int8')",
        "arrowFlight('x', 'y')",
    ),
    *(
        "view(SELECT * FROM cdp.events_track)",
        "view(SELECT * FROM view(SELECT * FROM system.tables))",
        "hudi('x')",
        "paimon('x')",
    ),
]
"""Table functions that reach out of the workspace, or never end."""

SCALARS = [
    *(
        "user",
        "`user`",
        "(SELECT user)",
        "(SELECT currentUser)",
        "CURRENT_USER",
        "database",
        "(SELECT current_database)",
    ),
    *("schema", "currentRequestURL", "(SELECT currentHandler)", "regionToName", "session_user AS x"),
    *(
        "arraySort(file, ['{file}'])",
        "arrayMap((file), ['{file}'])",
        "arrayTopK(file, 1, ['{file}'])",
        "mapApply(file, map('{file}', 1))",
    ),
    *(
        "file('{file}')",
        "`file`('{file}')",
        "\"file\"('{file}')",
        "FILE('{file}')",
        "file/**/('{file}')",
        "fi\\u006ce('{file}')",
    ),
    *(
        "dictGet('cdp.identity', 'id', toUInt64(1))",
        "dictGetOrDefault('cdp.identity', 'id', toUInt64(1), '')",
        "dictHas('cdp.identity', 1)",
    ),
    *(
        "dictGetOrNull('cdp.identity', 'id', 1)",
        "dictGetKeys('cdp.identity', 'id', 'x')",
        "dictGetAll('cdp.identity', 'id', 1)",
    ),
    *(
        "joinGet('cdp.x', 'a', 1)",
        "hasColumnInTable('cdp', 'events_track', 'workspace_id')",
        "getSetting('max_threads')",
    ),
    *(
        "getSettingOrDefault('additional_table_filters', '')",
        "getServerSetting('max_connections')",
        "getMacro('shard')",
    ),
    *(
        "hostName()",
        "HOSTNAME()",
        "fqdn()",
        "FQDN()",
        "version()",
        "VERSION()",
        "buildId()",
        "uptime()",
        "tcpPort()",
        "serverUUID()",
    ),
    *(
        "currentUser()",
        "current_user()",
        "user()",
        "currentDatabase()",
        "database()",
        "currentRoles()",
        "currentProfiles()",
        "queryID()",
    ),
    *(
        "filesystemAvailable()",
        "filesystemCapacity()",
        "getOSKernelVersion()",
        "showCertificate()",
        "shardNum()",
        "connectionId()",
    ),
    *(
        "sleep(3)",
        "sleepEachRow(3)",
        "throwIf(1, 'x')",
        "logTrace('x')",
        "addressToLine(1)",
        "demangle('x')",
        "tid()",
        "evalMLMethod(1)",
    ),
    *(
        "catboostEvaluate('{file}', 1)",
        "aiGenerate('x')",
        "getClientHTTPHeader('Authorization')",
        "mergeTreePartInfo('x')",
    ),
    *(
        "formatRow('Template', 1)",
        "structureToProtobufSchema('a Int8')",
        "timezone()",
        "serverTimezone()",
        "zookeeperSessionUptime()",
    ),
    *(
        "in(1, cdp.events_track)",
        "notIn(1, cdp.events_track)",
        "globalIn(1, system.one)",
        "nullIn(1, system.one)",
        "transactionID()",
    ),
    *(
        "1 IN cdp.events_track",
        "0 IN system.one",
        "0 NOT IN (system.one)",
        "0 GLOBAL IN system.one",
        "1 IN `cdp`.`events_track`",
    ),
    *(
        "1 IN (format('CSV', '1'))",
        "1 IN format('Template', 'x')",
        "1 IN merge('cdp', '.*')",
        "1 IN remote('127.0.0.1:{port}', system.one)",
        "1 IN numbers(99999999999)",
        "1 IN (url('http://127.0.0.1:{port}/'))",
    ),
    *(
        "(toUUID('{other}'), 'x') IN cdp.events_track",
        "(SELECT count() FROM cdp.events_track)",
        "(SELECT 1 IN system.one)",
    ),
    *(
        "[(SELECT max(name) FROM system.tables)]",
        "COLUMNS('.*') APPLY file",
        "* APPLY(file)",
        "* APPLY(x -> file(x))",
        "@@version",
    ),
    *(
        "workspace_id",
        "events_track.workspace_id",
        "actor_key",
        "version",
        "_part",
        "_table",
        "_database",
        "_partition_id",
        "_block_number",
    ),
    *(
        "initializeAggregation('fileState', 'x')",
        "arrayReduce('file', ['{file}'])",
        "arrayMap(file, ['{file}'])",
        "nothing(1)",
    ),
    *(
        "aggThrow(0.5)(1)",
        "flameGraph(1)",
        "stem('en', 'x')",
        "lemmatize('en', 'x')",
        "synonyms('en', 'x')",
        "regionToName(1)",
    ),
    *(
        "cutToFirstSignificantSubdomainCustom('x', 'l')",
        "hasThreadFuzzer()",
        "globalVariable('version')",
        "normalizeQuery('x')",
    ),
    *(
        "{{p:Identifier}}",
        "{{p}}",
        "?",
        ":x",
        "$1",
        "currentSchemas(1)",
        "errorCodeToName(1)",
        "isMergeTreePartCoveredBy('a', 'b')",
    ),
]
"""Expressions that reach out, or tell something of the server."""

STATEMENTS = [
    # They read the structure of a column, which rows of others in the same part have shaped.
    "SELECT distinctJSONPaths(properties) FROM events_track",
    "SELECT distinctJSONPathsAndTypesIf(properties, 1) FROM events_track",
    "SELECT distinctDynamicTypes(properties.price) FROM events_track",
    *(
        "INSERT INTO cdp.events_track SELECT * FROM events_track",
        "INSERT INTO events_track VALUES (1)",
        "DROP TABLE cdp.events_track",
    ),
    *(
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "ALTER TABLE cdp.events_track DELETE WHERE 1",
    ),
    *(
        "TRUNCATE TABLE cdp.events_track",
        "OPTIMIZE TABLE cdp.events_track",
        "RENAME TABLE cdp.events_track TO cdp.x",
        "USE cdp",
    ),
    *(
        "SYSTEM SHUTDOWN",
        "SYSTEM RELOAD DICTIONARY cdp.identity",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SET ROLE admin",
    ),
    *(
        "GRANT ALL ON *.* TO cdp_sql",
        "CREATE USER x",
        "SHOW TABLES",
        "SHOW CREATE TABLE cdp.events_track",
        "SHOW PROCESSLIST",
    ),
    *(
        "SHOW SETTINGS LIKE 'max%'",
        "SHOW GRANTS",
        "DESCRIBE TABLE cdp.events_track",
        "DESC system.tables",
        "EXISTS TABLE cdp.identity",
    ),
    *(
        "CHECK TABLE cdp.events_track",
        "ATTACH TABLE x",
        "DETACH TABLE cdp.events_track",
        "BACKUP TABLE cdp.events_track TO Disk('x', 'y')",
    ),
    *(
        "EXPLAIN AST SELECT 1",
        "EXPLAIN ESTIMATE SELECT * FROM events_track",
        "EXPLAIN SYNTAX SELECT 1",
        "EXPLAIN PIPELINE SELECT 1",
    ),
    *(
        "EXPLAIN QUERY TREE SELECT (SELECT file('{file}'))",
        "EXPLAIN TABLE OVERRIDE x",
        "EXPLAIN indexes = 1 SELECT 1",
        "EXPLAIN EXPLAIN SELECT 1",
        "DESCRIBE TABLE system.users",
        "DESCRIBE TABLE file('{file}', 'LineAsString', 'a String')",
        "DESCRIBE (SELECT (SELECT file('{file}')))",
        "DESC (SELECT 1) FORMAT JSON",
        "EXPLAIN DESCRIBE TABLE events_track",
    ),
    *(
        "EXECUTE AS default SELECT 1",
        "WITH x AS (SELECT 1) INSERT INTO cdp.events_track SELECT * FROM x",
        "PREPARE x AS SELECT 1",
    ),
    *(
        "SELECT 1; SELECT * FROM cdp.events_track",
        "SELECT 1 ; ; DROP TABLE cdp.events_track",
        "SELECT 1;SELECT 2",
        "TABLE cdp.events_track",
    ),
    *(
        "TABLE events_track",
        "VALUES (1)",
        "(SELECT 1) INTO OUTFILE '{file}.out'",
        "SELECT 1 INTO OUTFILE '{file}.out' TRUNCATE",
    ),
    *(
        "SELECT 1 FORMAT CSV",
        "SELECT 1 FORMAT Null",
        "SELECT * FROM events_track SETTINGS additional_table_filters = {{}}",
    ),
    *(
        "SELECT * FROM (SELECT * FROM events_track SETTINGS readonly = 0)",
        "SELECT 1 SETTINGS max_execution_time = 0, limit = 0",
    ),
    *(
        "WITH x AS (SELECT 1 SETTINGS use_query_cache = 1) SELECT * FROM x",
        "SELECT * FROM view(SELECT 1 SETTINGS readonly = 0)",
    ),
    *(
        "SELECT * FROM events_track SAMPLE 1",
        "SELECT * FROM events_track AS t FINAL SETTINGS x = 1",
        "SELECT 1 FROM cdp.events_track, events_track",
    ),
    *(
        "WITH x -> file(x) AS f SELECT f('{file}')",
        "SELECT f('{file}') FROM (SELECT 1) WHERE (x -> file(x)) AS f",
        "SELECT (x -> file(x))('{file}')",
    ),
    *(
        "FROM cdp.events_track SELECT *",
        "SELECT * FROM events_track UNION ALL SELECT * FROM cdp.events_track",
        "SELECT TOP 5 * FROM cdp.events_track",
    ),
    *(
        "SELECT * FROM cdp.events_track WHERE workspace_id = '{other}'",
        "SELECT * FROM events_track WHERE workspace_id = toUUID('{other}')",
    ),
    *("SELECT * FROM events_track OR 1 = 1", "SELECT * FROM events_track WHERE 1 OR workspace_id != workspace_id"),
    *(
        "SELECT * FROM events_track PREWHERE 1 OR 1",
        "SELECT * FROM events_track WHERE 1 = 1) OR (1 = 1",
        "SELECT * FROM events_track) AS x, (SELECT 1",
    ),
    *(
        "SELECT * FROM events_track AS `x) FROM cdp.events_track --`",
        "SELECT * FROM events_track AS `x`, `cdp`.`events_track` AS `y`",
    ),
    *(
        "SELECT '\\' FROM cdp.events_track --'",
        "SELECT 'a''b' FROM cdp.events_track -- '",
        'SELECT "a\\" FROM cdp.events_track --"',
    ),
    *(
        "SELECT $$ $$ FROM cdp.events_track $$",
        "SELECT $x$ $$ $x$ FROM cdp.events_track",
        "SELECT 1 /* /* */ FROM cdp.events_track */",
    ),
    *(
        "SELECT 1 -- \n FROM cdp.events_track",
        "SELECT 1 # \n FROM cdp.events_track",
        "SELECT 1 #! x\n FROM cdp.events_track",
    ),
    *(
        "SELECT\u00a0*\u00a0FROM\u00a0cdp.events_track",
        "SELECT * FROM \u201ccdp\u201d.\u201cevents_track\u201d",
        "SELECT * FROM cdp\u2024events_track",
    ),
    *(
        "SELECT * FROM (WITH identity_links AS (SELECT 1) SELECT 1), identity_links",
        "WITH events AS (SELECT 1) SELECT * FROM cdp.events",
    ),
    *(
        "WITH cdp AS (SELECT 1) SELECT * FROM cdp.events_track",
        "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, identity_links",
    ),
    *(
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, cdp.events_track) SELECT * FROM r",
        "SELECT * FROM __cte0",
    ),
    *(
        "SELECT * FROM `_temporary_and_external_tables`.`_tmp_1`",
        "SELECT * FROM events_track ARRAY JOIN (SELECT groupArray(name) FROM system.tables)",
    ),
    *(
        "SELECT * FROM events_track JOIN LATERAL (SELECT 1) ON 1",
        "SELECT * FROM events_track PIVOT (x)",
        "SELECT * FROM events_track FOR UPDATE",
    ),
    *(
        "SELECT count() FROM events_track LIMIT (SELECT count() FROM cdp.events_track)",
        "SELECT * FROM events_track LIMIT 1 BY file('{file}')",
    ),
    *(
        "SELECT {{p:Array(cdp.events_track)}}",
        "SELECT CAST(1 AS file('{file}'))",
        "SELECT 1::`cdp.events_track`",
        "SELECT 'x'::Enum8('a' = 1, file('{file}') = 2)",
    ),
    *(
        "SELECT * FROM events_track ORDER BY 1 COLLATE '{file}'",
        "SELECT 1 AS `cdp.events_track` FROM `cdp.events_track`",
        "SELECT * FROM 'cdp.events_track'",
    ),
    *(
        "WITH `system.one` AS (SELECT 1 AS a) SELECT 0 IN `system.one`, 0 IN system.one",
        "WITH identity_links AS q SELECT 1 IN q",
        "WITH (identity_links) AS q SELECT 1 IN q",
        "WITH [user] AS q SELECT 'a' IN q",
        "SELECT (WITH identity_links AS (SELECT 1 AS a) SELECT 1 IN identity_links), 1 IN identity_links",
        "SELECT 1 IN q FROM (WITH q AS (SELECT 1 AS a) SELECT 1)",
        "WITH q AS (SELECT 1 AS a) SELECT 1 IN cdp.q",
        "SELECT arrayMap(i -> i IN (SELECT 1), file('{file}'))",
        "SELECT arrayMap(file, [(SELECT 1 WHERE 1 IN (SELECT 1))])",
    ),
    *(
        "SELECT * FROM {{t:Identifier}}",
        "SELECT * FROM $t",
        "SELECT * FROM events_track AS cdp, cdp.events_track",
        "SELECT * FROM '{file}'",
    ),
]
"""Whole statements."""

ENDLESS = re.compile(r"000000|sleep|primes|generateRandom|fuzz|RECURSIVE|system\.numbers")
"""What only goes on and on: let through, a statement of these shows nothing and takes all the time it is given."""

_FROM = [
    "SELECT * FROM {x}",
    "SELECT toString(*) FROM {x}",
    "SELECT * FROM (SELECT * FROM {x})",
    "WITH c AS (SELECT * FROM {x}) SELECT * FROM c",
    "SELECT (SELECT count() FROM {x})",
    "SELECT 1 WHERE 1 IN (SELECT 1 FROM {x})",
    "SELECT 1 UNION ALL SELECT 1 FROM {x}",
    "SELECT 1 FROM events_track AS t LEFT JOIN {x} AS o ON 1 = 1",
    "SELECT 1 FROM events_track AS t, {x} AS o",
    "SELECT * FROM view(SELECT * FROM {x})",
    "EXPLAIN SELECT * FROM {x}",
    "DESCRIBE TABLE {x}",
    "DESC (SELECT * FROM {x})",
    "SELECT EXISTS (SELECT 1 FROM {x})",
    "SELECT arrayMap(i -> (SELECT count() FROM {x}), [1])",
    "SELECT 1 FROM events_track ORDER BY (SELECT count() FROM {x})",
    "SELECT 1 FROM events_track GROUP BY 1 HAVING 1 IN (SELECT 1 FROM {x})",
    "WITH (SELECT count() FROM {x}) AS n SELECT n",
    "SELECT sum(1) OVER (ORDER BY (SELECT count() FROM {x}))",
    "SELECT 1 LIMIT (SELECT count() FROM {x})",
    "SELECT CASE WHEN 1 THEN (SELECT count() FROM {x}) END",
    "SELECT 1 EXCEPT SELECT 1 FROM {x}",
    "FROM {x} SELECT *",
    "SELECT 1 FROM events_track PREWHERE 1 IN (SELECT 1 FROM {x})",
    "WITH q AS (SELECT toString(*) AS a FROM {x}) SELECT 'CANARY-OTHER' IN q",
    "WITH q AS (SELECT 1 AS a) SELECT 1 IN q FROM {x}",
    "SELECT arrayMap(i -> i IN (SELECT 1), (SELECT groupArray(1) FROM {x}))",
    "SELECT arrayMap(i -> i IN (SELECT 1), [(SELECT any(toString(*)) FROM {x})])",
]
_VALUE = [
    "SELECT {x}",
    "SELECT {x} FROM events_track",
    "SELECT 1 FROM events_track WHERE toString({x}) != ''",
    "SELECT (SELECT {x})",
    "WITH {x} AS v SELECT v",
    "SELECT arrayMap(i -> {x}, [1, 2])",
    "SELECT if(1, toString({x}), '')",
    "SELECT max(toString({x})) FROM events_track",
    "SELECT * FROM (SELECT {x} AS v) WHERE v IS NOT NULL",
    "SELECT 1 FROM events_track ORDER BY {x}",
    "SELECT 1 FROM events_track GROUP BY {x}",
    "SELECT 1 FROM events_track HAVING toString({x}) = 'a'",
    "SELECT 1 FROM events_track AS a JOIN events_page AS b ON toString({x}) = 'a'",
    "SELECT CASE {x} WHEN 1 THEN 2 ELSE 3 END",
    "SELECT ({x}, 1).1, [{x}][1]",
    "SELECT 1 LIMIT 1 BY {x}",
    "SELECT count() OVER (PARTITION BY {x}) FROM events_track",
    "SELECT CAST({x} AS String)",
    "WITH q AS (SELECT {x} AS a) SELECT toString(a), 1 IN q FROM q",
    "WITH [{x}] AS q SELECT 'a' IN q",
    "SELECT arrayFilter(i -> i IN (SELECT '1'), [toString({x})])",
]


def _disguises(text: str, random_: random.Random) -> str:
    """Write a statement another way that means the same: case, comments, spaces, brackets."""
    choice = random_.randrange(6)
    if choice == 0:
        return text.replace(" ", "/**/")
    if choice == 1:
        return text.replace(" ", "\n\t")
    if choice == 2:
        return text.replace("SELECT", "sElEcT").replace("FROM", "fRoM")
    if choice == 3:
        return f"({text})"
    if choice == 4:
        return f"-- x\n{text} -- y"
    return f"SELECT * FROM ({text})"


def attacks(sample: int, seed: int) -> Iterator[str]:
    """Yield every plain attack once, then `sample` of the grammar's."""
    yield from STATEMENTS
    yield from (f"SELECT * FROM {table}" for table in TABLES)
    yield from (f"SELECT * FROM {table}" for table in TABLE_FUNCTIONS)
    yield from (f"SELECT {value} FROM events_track" for value in SCALARS)
    random_ = random.Random(seed)  # the same every time
    shaped = [*itertools.product(_FROM, TABLES + TABLE_FUNCTIONS), *itertools.product(_VALUE, SCALARS)]
    for shape, inner in random_.sample(shaped, sample):
        text = shape.replace("{x}", inner)
        yield _disguises(text, random_) if random_.random() < 0.5 else text
