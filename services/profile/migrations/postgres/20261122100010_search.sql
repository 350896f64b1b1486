-- What searching profiles needs: the meanings of docs/predicates.md as functions of a JSON value, and indexes.
-- Every function is null for null. Absent values have no text and no number.
-- migrate:up
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The double nearest to a text that is a number, as the numeric with the same value (infinite beyond a double's range).
CREATE OR REPLACE FUNCTION profile.rounded(written text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    double float8;
    parts text[];
    magnitude bigint;
BEGIN
    IF pg_input_is_valid(written, 'float8') THEN
        double := written::float8;
        IF abs(double) >= 9007199254740992 AND abs(double) < 18446744073709551616 THEN
            RETURN (double / 2)::bigint::numeric * 2; -- exact: these doubles are even
        END IF;
        RETURN double::text::numeric;
    END IF;
    parts := regexp_match(written, '^([+-]?)0*([0-9]*)(?:\.(0*)[0-9]*)?(?:[eE]([+-]?)0*([0-9]*))?$');
    magnitude := CASE
        WHEN length(parts[5]) > 9 THEN 1000000000
        ELSE coalesce(nullif(parts[5], ''), '0')::bigint
    END;
    IF parts[4] = '-' THEN
        magnitude := -magnitude;
    END IF;
    magnitude := magnitude
        + CASE WHEN parts[2] <> '' THEN length(parts[2]) ELSE -length(coalesce(parts[3], '')) END;
    RETURN CASE WHEN magnitude < 0 THEN '0' WHEN parts[1] = '-' THEN '-Infinity' ELSE 'Infinity' END::numeric;
END $$;

-- The number a text is: exact when it is a whole one of 64 bits, else the nearest double; null when it is none.
CREATE OR REPLACE FUNCTION profile.number_of_text(written text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    whole numeric;
BEGIN
    IF written !~ '^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$' THEN
        RETURN NULL;
    END IF;
    IF length(written) < 400 AND written ~ '^[+-]?[0-9]+$' THEN
        whole := written::numeric;
        IF whole BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
            RETURN whole;
        END IF;
    END IF;
    RETURN profile.rounded(written);
END $$;

-- The number a JSON value is, be it a JSON number or a text that is one.
CREATE OR REPLACE FUNCTION profile.number(given jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    exact numeric;
BEGIN
    CASE jsonb_typeof(given)
        WHEN 'string' THEN
            RETURN profile.number_of_text(given #>> '{}');
        WHEN 'number' THEN
            exact := given::numeric;
            IF exact = trunc(exact) AND exact BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
                RETURN trunc(exact);
            END IF;
            RETURN profile.rounded(exact::text);
        ELSE
            RETURN NULL;
    END CASE;
END $$;

-- The text of a number that profile.number returned.
CREATE OR REPLACE FUNCTION profile.number_text(exact numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    double float8;
BEGIN
    IF exact = trunc(exact) AND exact BETWEEN -9223372036854775808 AND 18446744073709551615 THEN
        RETURN trunc(exact)::text;
    END IF;
    double := exact::float8;
    IF abs(double) >= 1e21 OR abs(double) < 1e-6 THEN
        RETURN regexp_replace(double::text, 'e\+?(-?)0*', 'e\1');
    END IF;
    RETURN trim_scale(double::text::numeric)::text;
END $$;

-- A text as JSON.
CREATE OR REPLACE FUNCTION profile.quoted(plain text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN replace(replace(to_json(plain)::text, U&'\2028', '\u2028'), U&'\2029', '\u2029');
END $$;

-- A JSON value as compact JSON: members in the byte order of their full dotted paths, without nulls and empty objects.
CREATE OR REPLACE FUNCTION profile.compact(given jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    CASE jsonb_typeof(given)
        WHEN 'object' THEN
            RETURN '{' || coalesce((
                SELECT string_agg(
                    profile.quoted(member.key) || ':' || shown.written, ','
                    ORDER BY (CASE jsonb_typeof(member.value) WHEN 'object' THEN member.key || '.' ELSE member.key END)
                        COLLATE "C"
                )
                FROM jsonb_each(given) AS member, LATERAL (SELECT profile.compact(member.value) AS written) AS shown
                WHERE shown.written NOT IN ('null', '{}')
            ), '') || '}';
        WHEN 'array' THEN
            RETURN '[' || coalesce((
                SELECT string_agg(profile.compact(element.value), ',' ORDER BY element.place)
                FROM jsonb_array_elements(given) WITH ORDINALITY AS element (value, place)
            ), '') || ']';
        WHEN 'string' THEN
            RETURN profile.quoted(given #>> '{}');
        WHEN 'number' THEN
            RETURN profile.number_text(profile.number(given));
        ELSE
            RETURN given::text;
    END CASE;
END $$;

-- The text of a JSON value.
CREATE OR REPLACE FUNCTION profile.text(given jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    CASE jsonb_typeof(given)
        WHEN 'string' THEN
            RETURN nullif(given #>> '{}', '');
        WHEN 'null' THEN
            RETURN NULL;
        ELSE
            RETURN nullif(profile.compact(given), '{}');
    END CASE;
END $$;

-- The instant a JSON value is: a text in one of the forms of docs/predicates.md, of a day that exists.
CREATE OR REPLACE FUNCTION profile.moment(given jsonb) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    parts text[];
    away interval;
BEGIN
    IF jsonb_typeof(given) <> 'string' THEN
        RETURN NULL;
    END IF;
    parts := regexp_match(
        given #>> '{}',
        '^((?:19|2[0-2])[0-9]{2}-[0-9]{2}-[0-9]{2})'
        '(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?'
        '(?:Z|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?)?$'
    );
    IF parts IS NULL OR NOT pg_input_is_valid(parts[1], 'date') THEN
        RETURN NULL;
    END IF;
    away := make_interval(hours => coalesce(parts[7], '0')::int, mins => coalesce(parts[8], '0')::int);
    RETURN (
        parts[1] || ' ' || coalesce(parts[2], '00') || ':' || coalesce(parts[3], '00') || ':' || coalesce(parts[4], '00')
        || '.' || rpad(left(coalesce(parts[5], '0'), 6), 6, '0')
    )::timestamp AT TIME ZONE 'UTC' - CASE parts[6] WHEN '-' THEN -away ELSE away END;
END $$;

-- The value at a path of names. An array has none: #> would read '1' as a place in it.
CREATE OR REPLACE FUNCTION profile.at(given jsonb, names text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY names LOOP
        given := given -> name;
    END LOOP;
    RETURN given;
END $$;

-- The elements of an array; none of anything else.
CREATE OR REPLACE FUNCTION profile.elements(given jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    IF jsonb_typeof(given) = 'array' THEN
        RETURN QUERY SELECT jsonb_array_elements(given);
    END IF;
END $$;

-- Unicode lower case, in full (a final sigma, a dotted I), whatever the database's own locale.
CREATE OR REPLACE FUNCTION profile.folded(plain text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN lower(plain COLLATE pg_unicode_fast);
END $$;
CREATE OR REPLACE FUNCTION profile.all_folded(plain text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN ARRAY(SELECT profile.folded(one) FROM unnest(plain) AS one);
END $$;

-- Of the texts that are numbers those written in another way than the number itself ("+49", "007", "1.50"), as numbers
-- in their places; null when there are none. What equals a number but would not be found by its text. Not looked for below
-- so many levels: this is called for every profile that is written, whatever somebody sent, and the stack has an end.
CREATE OR REPLACE FUNCTION profile.odd_numbers(given jsonb, levels int DEFAULT 20) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    exact numeric;
BEGIN
    IF levels < 0 THEN
        RETURN NULL;
    END IF;
    CASE jsonb_typeof(given)
        WHEN 'string' THEN
            exact := profile.number_of_text(given #>> '{}');
            IF exact IN ('Infinity', '-Infinity') OR profile.number_text(exact) = given #>> '{}' THEN
                RETURN NULL;
            END IF;
            RETURN to_jsonb(exact);
        WHEN 'object' THEN
            RETURN (
                SELECT jsonb_object_agg(member.key, profile.odd_numbers(member.value, levels - 1))
                FROM jsonb_each(given) AS member
                -- Asked first what is quickly told: nearly every value is left out here.
                WHERE jsonb_typeof(member.value) NOT IN ('number', 'boolean', 'null')
                    AND (jsonb_typeof(member.value) <> 'string' OR member.value #>> '{}' ~ '^[+-]?[0-9]+([.eE]|$)')
                    AND profile.odd_numbers(member.value, levels - 1) IS NOT NULL
            );
        WHEN 'array' THEN
            RETURN (
                SELECT jsonb_agg(profile.odd_numbers(element.value, levels - 1))
                FROM jsonb_array_elements(given) AS element
                WHERE profile.odd_numbers(element.value, levels - 1) IS NOT NULL
            );
        ELSE
            RETURN NULL;
    END CASE;
END $$;

-- What free text is looked for in, a line for each trait.
CREATE OR REPLACE FUNCTION profile.lines(VARIADIC given jsonb[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN profile.folded(coalesce((
        SELECT string_agg(profile.text(one), E'\n')
        FROM unnest(given) AS one
        WHERE jsonb_typeof(one) IN ('string', 'number')
    ), ''));
END $$;
CREATE OR REPLACE FUNCTION profile.has_words(lines text, words text[]) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    word text;
BEGIN
    FOREACH word IN ARRAY words LOOP
        IF strpos(lines, profile.folded(word)) = 0 THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;
-- The lines of the traits that are indexed for it: services/profile/search/text.py has their names, too.
CREATE OR REPLACE FUNCTION profile.indexed_lines(traits jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN profile.lines(
        traits -> 'name', traits -> 'first_name', traits -> 'last_name', traits -> 'firstName', traits -> 'lastName',
        traits -> 'username', traits -> 'email', traits -> 'phone', traits -> 'company', traits -> 'company' -> 'name'
    );
END $$;

CREATE INDEX IF NOT EXISTS profiles_by_traits ON profiles
    USING gin (workspace_id, traits jsonb_path_ops, (profile.odd_numbers(traits)) jsonb_path_ops);
CREATE INDEX IF NOT EXISTS profiles_by_text ON profiles
    USING gin (workspace_id, (profile.indexed_lines(traits)) gin_trgm_ops);
CREATE INDEX IF NOT EXISTS profiles_by_first_seen ON profiles (workspace_id, first_seen_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS profiles_by_id ON profiles (workspace_id, id);
CREATE INDEX IF NOT EXISTS profiles_by_user ON profiles (workspace_id, hashtextextended(user_id, 0))
    WHERE user_id IS NOT NULL; -- its hash: a b-tree holds no text of more than 2,700 bytes

-- migrate:down
DROP INDEX IF EXISTS profiles_by_user;
DROP INDEX IF EXISTS profiles_by_id;
DROP INDEX IF EXISTS profiles_by_first_seen;
DROP INDEX IF EXISTS profiles_by_text;
DROP INDEX IF EXISTS profiles_by_traits;
DROP FUNCTION IF EXISTS profile.indexed_lines(jsonb);
DROP FUNCTION IF EXISTS profile.has_words(text, text[]);
DROP FUNCTION IF EXISTS profile.lines(jsonb[]);
DROP FUNCTION IF EXISTS profile.odd_numbers(jsonb, int);
DROP FUNCTION IF EXISTS profile.all_folded(text[]);
DROP FUNCTION IF EXISTS profile.folded(text);
DROP FUNCTION IF EXISTS profile.elements(jsonb);
DROP FUNCTION IF EXISTS profile.at(jsonb, text[]);
DROP FUNCTION IF EXISTS profile.moment(jsonb);
DROP FUNCTION IF EXISTS profile.text(jsonb);
DROP FUNCTION IF EXISTS profile.compact(jsonb);
DROP FUNCTION IF EXISTS profile.quoted(text);
DROP FUNCTION IF EXISTS profile.number_text(numeric);
DROP FUNCTION IF EXISTS profile.number(jsonb);
DROP FUNCTION IF EXISTS profile.number_of_text(text);
DROP FUNCTION IF EXISTS profile.rounded(text);
