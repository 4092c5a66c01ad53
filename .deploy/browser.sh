#!/bin/sh
# A Chromium for the nodes of compose.yaml. Chromium listens on loopback alone; socat lets the nodes in. Its debugging port has
# no password: only the nodes may reach it.
set -eu
profile=$(mktemp -d)
socat TCP-LISTEN:9223,fork,reuseaddr TCP:127.0.0.1:9222 &
exec chromium --headless=new --remote-debugging-port=9222 --user-data-dir="$profile" \
  --no-sandbox --disable-quic --disable-background-networking --disable-component-update --disable-sync --no-first-run \
  --disable-features=PdfOopif --enable-features=WebMCP about:blank
