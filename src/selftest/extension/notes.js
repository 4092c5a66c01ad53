/**
 * The notes, kept in chrome.storage:
 *   local    `notes`    { [url]: string[] }, on this machine
 *   sync     `label`    the word on the badge, follows the user
 *   session  `starts`   how often the worker started, gone with the browser
 */

/** A note belongs to a page, whatever its query and fragment are. */
export function pageOf(url) {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

export async function notesOf(page) {
  const { notes = {} } = await chrome.storage.local.get('notes');
  return notes[page] ?? [];
}

export async function addNote(page, text) {
  const { notes = {} } = await chrome.storage.local.get('notes');
  notes[page] = [...(notes[page] ?? []), text];
  await chrome.storage.local.set({ notes });
  return notes[page];
}

export async function label() {
  const { label = 'Notes' } = await chrome.storage.sync.get('label');
  return label;
}

export async function countStart() {
  const { starts = 0 } = await chrome.storage.session.get('starts');
  await chrome.storage.session.set({ starts: starts + 1 });
  return starts + 1;
}
