#!/bin/sh
set -e

# Options alone are the server's.
case "$1" in
    -*) set -- redis-server "$@" ;;
esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis {} +
    exec gosu redis "$0" "$@"
fi

umask 0077
exec "$@"
