#!/usr/bin/env bash
set -euo pipefail

# Options alone are the server's.
case "$1" in
    -*) set -- rabbitmq-server "$@" ;;
esac

if [[ "$1" == rabbitmq* ]] && [ "$(id -u)" = 0 ]; then
    if [ "$1" = rabbitmq-server ]; then
        find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
    fi
    exec gosu rabbitmq "$BASH_SOURCE" "$@"
fi

exec "$@"
