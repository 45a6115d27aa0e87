#!/bin/sh
exec 2>&1
touch /tmp/ready
exec s6-setuidgid www-data busybox httpd -f -p 8080 -h /srv/site
