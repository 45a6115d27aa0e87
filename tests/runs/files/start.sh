#!/bin/sh
set -eu

mkdir -p "$SITE"
printf 'served\n' > "$SITE/index.html"
chmod 0755 "$SITE"

busybox httpd -f -p 8080 -h "$SITE" &
server=$!
trap 'kill "$server"; exit 0' TERM
wait "$server"
