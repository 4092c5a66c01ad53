/** An extension that runs in every place there is: worker, popup, options, a page of its own, content scripts in all frames. */
export const manyContexts = {
  manifest: {
    background: { service_worker: 'worker.js' },
    permissions: ['storage', 'tabs'],
    action: { default_popup: 'popup.html' },
    options_page: 'options.html',
    content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'], all_frames: true }],
  },
  files: {
    'worker.js': `self.kept = 'in a variable';
    chrome.action.onClicked.addListener((tab) => chrome.storage.local.set({ clicked: tab.url }));`,
    'popup.html': '<title>Popup</title><button>Press</button><output></output><script src="popup.js"></script>',
    'popup.js': `document.querySelector('button').onclick = async () => {
    const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
    document.querySelector('output').textContent = 'pressed over ' + tab.title;
  };`,
    'options.html': '<title>Options</title><h1>Options of it</h1>',
    'other.html': '<title>Other</title><p>Some other page</p>',
    'content.js': 'globalThis.mark = "content " + location.pathname;',
  },
};
