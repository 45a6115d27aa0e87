#!/bin/sh
set -e

say() {
    [ -n "${NGINX_QUIET:-}" ] || echo "$@"
}

if [ "$1" = nginx ]; then
    if find /docker-entrypoint.d/ -mindepth 1 -maxdepth 1 -type f | grep -q .; then
        find /docker-entrypoint.d/ -follow -type f | sort -V | while read -r hook; do
            case "$hook" in
                *.envsh)
                    [ ! -x "$hook" ] || . "$hook"
                    ;;
                *.sh)
                    if [ -x "$hook" ]; then
                        say "running $hook"
                        "$hook"
                    fi
                    ;;
                *) say "leaving out $hook" ;;
            esac
        done
    fi
fi

exec "$@"
