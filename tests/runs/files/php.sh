#!/bin/sh
set -e

. /etc/apache2/envvars
mkdir -p "$APACHE_RUN_DIR" /run/php
rm -f "$APACHE_RUN_DIR/apache2.pid"

php-fpm8.4 --nodaemonize --fpm-config /etc/php/8.4/fpm/php-fpm.conf &
manager=$!
apache2 -DFOREGROUND &
server=$!
trap 'kill "$server"' TERM
wait "$server" || :
kill "$manager"
wait
