#!/bin/sh
set -e

me=$(basename "$0")
file=/etc/nginx/conf.d/default.conf
touch "$file" || { echo "$me: $file is read-only"; exit 0; }
if grep -q 'listen 80;' "$file"; then
    sed -i 's/listen 80;/listen 8080;/' "$file"
    echo "$me: $(cut -d';' -f 1 "$file" | grep -c listen) changed"
fi
