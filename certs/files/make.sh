#!/bin/sh
# Makes a CA and a server certificate in this folder. Run it again to renew the server's: the CA stays.
#   make.sh [DAYS]       how long the server's certificate holds, 365 if not said
set -eu
umask 077
cd "$(dirname "$0")"
name=armorgate.armorgate.svc

[ -f ca.key ] || openssl ecparam -name prime256v1 -genkey -noout -out ca.key
[ -f ca.crt ] || openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=armorgate CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign" -out ca.crt

openssl ecparam -name prime256v1 -genkey -noout -out tls.key
openssl req -new -key tls.key -subj "/CN=$name" -out tls.csr
printf 'subjectAltName=DNS:%s,DNS:%s.cluster.local\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n' \
    "$name" "$name" > tls.ext
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days "${1:-365}" -extfile tls.ext -out tls.crt
rm -f tls.csr tls.ext ca.srl
echo "made $(pwd)/tls.crt; next: kubectl apply -k $(pwd)"
