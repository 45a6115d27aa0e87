#!/bin/sh -e
mkdir -p /srv/site
echo served > /srv/site/index.html
exec s6-svscan /etc/services
