#!/bin/sh
# Make an authority and certificates for compose.tls.yaml: docker/certificates.sh [FOLDER]
# FOLDER (docker/certs) gets ca.pem, and for kafka, postgres and redis what each shows to clients.
# Another run renews the certificates and keeps the authority; ca.key can sign more, keep it safe.
set -eu
umask 077
folder=${1:-$(dirname "$0")/certs}
mkdir -p "$folder"
cd "$folder"

if [ ! -f ca.pem ]; then
  openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 3650 -subj "/CN=event-counter" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem
fi
[ -f kafka.password ] || openssl rand -hex 16 >kafka.password # of the file that Java reads

for name in kafka postgres redis; do
  openssl req -newkey rsa:3072 -nodes -sha256 -subj "/CN=$name" -keyout $name.key -out $name.csr
  printf 'subjectAltName=DNS:%s,DNS:localhost\nextendedKeyUsage=serverAuth\n' $name >$name.ext
  openssl x509 -req -sha256 -days 825 -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
    -extfile $name.ext -out $name.pem
  rm $name.csr $name.ext
done
openssl pkcs12 -export -in kafka.pem -inkey kafka.key -name kafka -passout file:kafka.password \
  -out kafka.p12
# Each container reads its own file, as a user of its own; the folder lets in nobody else here.
chmod 644 ca.pem kafka.p12 kafka.password ./*.pem postgres.key redis.key
