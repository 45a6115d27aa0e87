#!/usr/bin/env bash
set -Eeo pipefail

prepare_folder() {
    local user
    user="$(id -u)"
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || :
    if [ "$user" = 0 ]; then
        find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    fi
}

create_cluster() {
    eval 'initdb --username=postgres --auth=trust --no-sync --no-locale '"$INITDB_ARGUMENTS"
}

run_sql() {
    local runner=(psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc --username postgres)
    "${runner[@]}" "$@"
}

run_files() {
    local file
    for file; do
        case "$file" in
            *.sh)
                if [ -x "$file" ]; then "$file"; else . "$file"; fi
                ;;
            *.sql) run_sql -f "$file" ;;
            *.sql.gz) gunzip -c "$file" | run_sql ;;
            *) echo "leaving out $file" ;;
        esac
    done
}

if [ "$1" = postgres ]; then
    prepare_folder
    if [ "$(id -u)" = 0 ]; then
        exec gosu postgres "$BASH_SOURCE" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then
        create_cluster
        pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w -t 180 start
        run_files /docker-entrypoint-initdb.d/*
        pg_ctl -D "$PGDATA" -m fast -w -t 180 stop
    fi
fi

exec "$@"
