/** Popup and side panel: the notes of the active tab, and a form to add one. */

const list = document.querySelector('#notes');
const form = document.querySelector('#form');
const text = document.querySelector('#text');

// Opened in a tab of its own there may be no other page to write about: then the notes are about this one.
const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
const url = tab?.url ?? location.href;

function show(notes) {
  list.replaceChildren(...notes.map((note) => Object.assign(document.createElement('li'), { textContent: note })));
  console.log('popup shows', notes.length);
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { notes } = await chrome.runtime.sendMessage({ type: 'notes.add', url, text: text.value });
  form.reset();
  show(notes);
});

show((await chrome.runtime.sendMessage({ type: 'notes.list', url })).notes);
