#!/bin/bash
set -eo pipefail

client() {
    local words=(mariadb --protocol=socket --user=root --no-auto-rehash)
    if [ -n "$MARIADB_DATABASE" ]; then
        words+=(--database="$MARIADB_DATABASE")
    fi
    "${words[@]}" "$@"
}

wait_for_it() {
    local left
    for left in {120..0}; do
        if mariadb --user=root --execute='select 1' >/dev/null 2>&1; then
            return
        fi
        sleep 1
    done
    echo "it has not started" >&2
    return 1
}

fill() {
    local file
    for file; do
        case "$file" in
            *.sh) . "$file" ;;
            *.sql) client <"$file" ;;
            *) echo "leaving out $file" ;;
        esac
    done
}

if [ "$1" = mariadbd ]; then
    folder=/var/lib/mysql
    if [ "$(id -u)" = 0 ]; then
        find "$folder" /run/mysqld \! -user mysql -exec chown mysql: '{}' +
        exec gosu mysql "${BASH_SOURCE[0]}" "$@"
    fi
    if [ ! -d "$folder/mysql" ]; then
        mariadb-install-db --datadir="$folder" --skip-test-db --auth-root-authentication-method=normal --skip-name-resolve >/dev/null
        "$@" --skip-networking &
        server=$!
        wait_for_it
        mariadb --user=root --execute="create database if not exists $MARIADB_DATABASE"
        fill /docker-entrypoint-initdb.d/*
        kill "$server"
        wait "$server"
    fi
fi

exec "$@"
