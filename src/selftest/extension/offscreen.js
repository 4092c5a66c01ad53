chrome.runtime.onMessage.addListener((message, _sender, reply) => {
  if (message.type !== 'offscreen.parse') return;
  const parsed = new DOMParser().parseFromString(message.html, 'text/html');
  console.log('offscreen parsed', message.html.length);
  reply({ text: parsed.body.textContent });
});
