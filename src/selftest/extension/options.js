import { label } from './notes.js';

const input = document.querySelector('#label');
const status = document.querySelector('#status');

input.addEventListener('change', async () => {
  await chrome.storage.sync.set({ label: input.value });
  status.textContent = 'Saved';
  console.log('options saved', input.value);
});

input.value = await label();
console.log('options show', input.value);
