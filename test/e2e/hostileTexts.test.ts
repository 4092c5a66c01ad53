import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { BrowsingClient } from './support/browsingClient.js';
import { startServerProcess, type ServerProcess } from './support/serverProcess.js';

/** Fills every place that a tool reads with half pairs, emoji at each cut, and marks that reorder lines. */
const plant = `async () => {
  const half = String.fromCharCode(0xd83d);
  const long = '👍'.repeat(3000);
  const text = 'a' + half + '\\u202eevil\\u0007' + long;
  document.title = 'x'.repeat(58) + '👍👍' + half;
  document.body.innerHTML = '<button></button><input id="i"><p></p><p></p>';
  document.querySelector('button').textContent = text.slice(0, 200);
  document.querySelector('p').textContent = text;
  document.querySelector('input').value = text.slice(0, 300);
  localStorage.setItem('k' + half, text);
  sessionStorage.setItem('s', text);
  history.replaceState(null, '', '?x=' + 'y'.repeat(250) + '👍'.repeat(60));
  console.log(text, half, { [half]: text });
  setTimeout(() => { throw new Error('broken ' + text) });
  await fetch('/echo', { method: 'POST', body: text }).catch(() => {});
  await new Promise((done) => setTimeout(done, 50));
  return text.slice(0, 50);
}`;

/** Every string of an answer, also those within objects. */
function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...stringsOf(inner)]);
}

describe('a page whose every text is malformed or out to reorder lines', () => {
  let pages: PageServer;
  let server: ServerProcess;
  let browsing: BrowsingClient;
  beforeAll(async () => {
    [pages, server] = await Promise.all([startPageServer(), startServerProcess()]);
    browsing = await BrowsingClient.open(server.url, '?tools=all');
    await browsing.call('new_page', { url: `${pages.url}/index.html` });
    await browsing.call('evaluate_script', { function: plant });
  });
  afterAll(async () => {
    await browsing.close();
    await server.dispose();
    await pages.close();
  });

  test.each<[string, Record<string, unknown>]>([
    ['list_pages', {}],
    ['take_snapshot', { verbose: true }],
    ['find_in_snapshot', { text: 'evil' }],
    ['list_console_messages', {}],
    ['get_console_message', { id: 1 }],
    ['get_console_message', { id: 2 }],
    ['list_network_requests', {}],
    ['get_network_request', { id: 2, limit: 1 }],
    ['get_network_request', { id: 2, body: 'request', offset: 7, limit: 3 }],
    ['inspect_page_storage', {}],
    ['evaluate_script', { function: '() => document.title' }],
    ['evaluate_script', { function: "() => { throw new Error('no ' + document.title) }" }],
    ['evaluate_script', { function: "() => { throw 'no \\ud83d' }" }],
    ['fill', { uid: '\ud83d', value: 'x' }],
    ['click', { uid: '\u202e' }],
    ['nothing_\ud83d', {}],
    ['evaluate_script', { function: "() => { setTimeout(() => alert('👍'.repeat(300) + '\\ud83d')); return 1 }" }],
    ['handle_dialog', { action: 'accept' }],
  ])('%s %j is well-formed, and no line of it reorders another', async (name, args) => {
    const { content, structuredContent } = await browsing
      .call(name, args)
      .catch((error: unknown) => ({ content: [{ type: 'text', text: String(error) }], structuredContent: {} }));
    const texts = stringsOf([content, structuredContent]);
    expect(texts.filter((text) => !text.isWellFormed())).toEqual([]);
    const shown = content.map((block) => ('text' in block ? block.text : '')).join('\n');
    expect(shown).not.toMatch(/[\u0000-\u0008\u202a-\u202e\u2066-\u2069]/);
    expect(shown.length).toBeGreaterThan(0);
  });
});
