#!/usr/bin/env bash
# Makes a CA and a certificate of the Service's name, and prints the Secret and webhook.yaml with its caBundle:
#   ./make-certificate.sh | kubectl apply -f -
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

name=fnimage-controller.fnimage.svc
days=825
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -days "$days" -subj "/CN=fnimage CA" -keyout ca.key -out ca.crt 2>/dev/null
openssl req "${key[@]}" -subj "/CN=$name" -keyout tls.key -out tls.csr 2>/dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" -out tls.crt \
  -extfile <(printf 'subjectAltName=DNS:%s,DNS:%s.cluster.local' "$name" "$name") 2>/dev/null

cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: fnimage-controller-tls
  namespace: fnimage
type: kubernetes.io/tls
data:
  tls.crt: $(base64 -w0 tls.crt)
  tls.key: $(base64 -w0 tls.key)
---
YAML
sed "s|caBundle: \"\"|caBundle: $(base64 -w0 ca.crt)|" "$here/webhook.yaml"
