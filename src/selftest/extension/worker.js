import { addNote, countStart, label, notesOf, pageOf } from './notes.js';

/** One function for each message type; what it returns is the reply. */
const handlers = {
  'notes.list': async ({ url }) => ({ label: await label(), notes: await notesOf(pageOf(url)) }),
  'notes.add': async ({ url, text }) => ({ notes: await addNote(pageOf(url), text) }),
  'text.fromHtml': async ({ html }) => textFromHtml(html),
  // The bug of this sample, left in on purpose: a note without a text is not expected here.
  'notes.measure': async ({ note }) => ({ length: note.text.length }),
};

chrome.runtime.onMessage.addListener((message, sender, reply) => {
  const handler = handlers[message.type];
  if (!handler) return false;
  console.log('worker received', message.type, sender.url);
  handler(message).then(reply, (error) => {
    reply({ error: error.message });
    throw error;
  });
  return true; // The reply comes later: keep the channel open.
});

/** Only a document can parse HTML, and a worker has none: an offscreen document does it. */
async function textFromHtml(html) {
  if (!(await chrome.offscreen.hasDocument())) {
    await chrome.offscreen.createDocument({
      url: 'offscreen.html',
      reasons: ['DOM_PARSER'],
      justification: 'Notes are plain text; what is pasted may be HTML.',
    });
  }
  return chrome.runtime.sendMessage({ type: 'offscreen.parse', html });
}

countStart().then((starts) => console.log('worker started', starts));
