#!/bin/sh
set -eu

options="${JAVA_OPTIONS:--Xmx64m -Xshare:auto -XX:TieredStopAtLevel=1}"
exec "$JAVA_HOME/bin/java" $options -m jdk.httpserver -b 127.0.0.1 -p 8080 -d /srv/site
