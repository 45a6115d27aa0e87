#!/bin/sh
set -e

# What is no program of the image is a script.
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ]; then
    set -- node "$@"
fi

exec "$@"
