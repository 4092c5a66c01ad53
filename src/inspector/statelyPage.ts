/**
 * Opens Stately's remote page in a frame and hands it what comes over the WebSocket, which that page cannot reach itself.
 * It is told nothing before it has said that it is there, and nothing goes to any other site.
 */
export const statelyPage = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Greenroom in Stately's inspector</title>
    <style>html, body, iframe { margin: 0; width: 100%; height: 100%; border: 0; display: block }</style>
  </head>
  <body>
    <iframe title="Stately inspector" src="https://stately.ai/inspect"></iframe>
    <script>
      const stately = 'https://stately.ai';
      const { contentWindow } = document.querySelector('iframe');
      addEventListener('message', ({ origin, data }) => {
        if (origin !== stately || data?.type !== '@statelyai.connected') return;
        const socket = new WebSocket('ws://' + location.host);
        socket.onmessage = (message) => contentWindow.postMessage(JSON.parse(message.data), stately);
      }, { once: true });
    </script>
  </body>
</html>
`;
