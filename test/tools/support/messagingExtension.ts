const worker = `
  console.log('worker up', { deep: { er: 1 } });
  chrome.runtime.onMessage.addListener((message, sender, reply) => {
    if (message.ask === 'later') { setTimeout(() => reply({ late: true }), 20); return true; }
    if (message.ask === 'never') return true;
    reply({ echo: message });
  });
  chrome.runtime.onConnect.addListener((port) => port.onMessage.addListener((text) => port.postMessage('re ' + text)));
`;

const content = `
  function first() { return chrome.runtime.sendMessage({ from: 'content', at: 'start' }); }
  first();
  const heard = (message, sender, reply) => reply('content heard ' + message);
  chrome.runtime.onMessage.addListener(heard);
  console.info('content here', chrome.runtime.onMessage.hasListener(heard));
  const port = chrome.runtime.connect({ name: 'line' });
  port.postMessage('hello');
`;

/** An extension whose worker and content script talk to each other, by messages and over a port, from their first statement on. */
export const messagingExtension = {
  manifest: {
    permissions: ['storage', 'tabs'],
    background: { service_worker: 'worker.js' },
    content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'], run_at: 'document_start' }],
    options_page: 'options.html',
  },
  files: {
    'worker.js': worker,
    'content.js': content,
    'options.html': '<script src="options.js"></script>',
    'options.js': 'chrome.runtime.onMessage.addListener((message, sender, reply) => undefined);',
  },
};
