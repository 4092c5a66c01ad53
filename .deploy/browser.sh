#!/bin/sh
# A Chromium for the nodes of compose.yaml. Chromium listens on loopback alone; socat lets the nodes in. Its debugging port has
# no password: only the nodes may reach it. The flags are those of a Chromium that a node launches itself.
set -eu
profile=$(mktemp -d)
socat TCP-LISTEN:9223,fork,reuseaddr TCP:127.0.0.1:9222 &
exec chromium --headless=new --remote-debugging-port=9222 --user-data-dir="$profile" --no-sandbox \
  --disable-background-networking --disable-component-update --disable-sync --disable-quic --no-first-run \
  --no-default-browser-check --window-size=1280,800 \
  --disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,PdfOopif,SpareRendererForSitePerProcess \
  --enable-features=WebMCP about:blank
