/** Shows on the page how many notes there are, and keeps the number current. */

const badge = document.createElement('output');
badge.id = 'page-notes';
badge.setAttribute('role', 'status');
badge.style.cssText =
  'position:fixed;right:1rem;bottom:1rem;padding:.3em .8em;border-radius:1em;background:#234;color:#fff;font:14px system-ui';
document.body.append(badge);

async function show() {
  const { label, notes } = await chrome.runtime.sendMessage({ type: 'notes.list', url: location.href });
  badge.textContent = `${label}: ${notes.length}`;
  document.documentElement.dataset.pageNotes = String(notes.length);
  console.log('content script shows', notes.length);
}

chrome.storage.onChanged.addListener(show);
show();
