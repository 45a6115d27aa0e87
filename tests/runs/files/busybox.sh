mkdir -p /www; echo served >/www/index.html
/bin/httpd -f -p 8080 -h /www & server=$!
trap 'kill "$server"; exit 0' TERM
wait "$server"
