import { waitUntil } from '../e2e/support/serverProcess.js';
import { openHouse, type House, type Tenant } from './support/house.js';

/** What a page of one user may do to its browser: as much as it answers, on a slow machine less. */
const floods = {
  requests: `() => {
    const request = () => fetch('/flood?' + Math.random()).then(request, request);
    for (let i = 0; i < 50; i++) void request();
  }`,
  'a script that never ends': '() => { setTimeout(() => { for (;;); }); }',
  windows: "() => { setInterval(() => window.open('/'), 20); }",
  frames: "() => { setInterval(() => document.body.append(document.createElement('iframe')), 20); }",
  navigation:
    "() => { setInterval(() => { location.hash = Math.random(); history.pushState(0, '', '/' + Math.random()); }, 20); }",
} as const;

const secret = 'of-the-victim';

/** In the victim's page: the secret wherever pages of one origin could share it. */
const leaveEverywhere = `async () => {
  window.name = 'victim';
  window.open('/?${secret}', 'popup');
  document.cookie = 'kept=${secret}';
  localStorage.setItem('kept', '${secret}');
  const channel = new BroadcastChannel('channel');
  channel.onmessage = () => channel.postMessage('${secret}');
  await (await caches.open('kept')).put('/kept', new Response('${secret}'));
  void navigator.locks.request('${secret}', () => new Promise(() => undefined));
  await (await navigator.storage.getDirectory()).getFileHandle('${secret}', { create: true });
  await new Promise((resolve) => (indexedDB.open('${secret}').onsuccess = resolve));
  new SharedWorker('data:text/javascript,onconnect = ({ ports: [port] }) => port.postMessage(self.kept ??= name)', '${secret}');
  window.held = channel;
}`;

/** In a page of another user at the same origin: each answers what it got hold of. */
const attempts: Record<string, string> = {
  'a window by its name': "const found = open('', 'victim'); const at = found.location.href; found.close(); return at;",
  'a popup by its name': "const found = open('', 'popup'); const at = found.location.href; found.close(); return at;",
  'a channel': `const channel = new BroadcastChannel('channel');
    return new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data);
      channel.postMessage('hello');
      setTimeout(resolve, 200, 'nobody answered');
    });`,
  cookies: 'return [document.cookie, await cookieStore.getAll()];',
  'stored values': 'return [{ ...localStorage }, { ...sessionStorage }];',
  caches: "return [await caches.keys(), (await (await caches.match('/kept'))?.text()) ?? 'none'];",
  locks: 'return navigator.locks.query();',
  files: 'return Array.fromAsync((await navigator.storage.getDirectory()).keys());',
  databases: 'return indexedDB.databases();',
  'the clipboard': 'return navigator.clipboard.readText().catch(String);',
  'what Chrome measured':
    'return [performance.getEntries().map(({ name }) => name), (await navigator.storage.estimate()).usage];',
  'bindings of tools': `const seen = new Set();
    const opened = open('about:blank');
    const frame = document.body.appendChild(document.createElement('iframe')).contentWindow;
    for (let turn = 0; turn < 50; turn++) {
      for (const found of [window, opened, frame])
        for (const name of Object.getOwnPropertyNames(found)) if (/greenroom/i.test(name)) seen.add(found[name]('garbage'));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    opened.close();
    return [...seen];`,
};

describe('in a browser that two users share, the end of one costs the other nothing', () => {
  let house: House;
  let victim: Tenant;
  beforeAll(async () => {
    house = await openHouse({ isolation: 'context' });
    victim = await house.tenant('victim');
    await victim.data('new_page', { url: house.web });
    await victim.evaluate("() => { window.kept = 'the state of this page'; }");
  });
  afterAll(() => house.close());

  test.each(Object.entries(floods))('of a session whose page floods: %s', async (name, source) => {
    const attacker = await house.tenant(`attacker-${name.length}`);
    await attacker.data('new_page', { url: house.web });
    await attacker.attempt('evaluate_script', { function: source });
    expect(await victim.evaluate('() => window.kept')).toBe('the state of this page');
    await attacker.end();
    expect(await victim.evaluate('() => window.kept')).toBe('the state of this page');
    expect(await victim.attempt('list_pages')).not.toMatch(/ended unexpectedly|reloaded|opened again/);
  });

  describe('and a page reaches nothing of another one at the same origin', () => {
    let other: Tenant;
    beforeAll(async () => {
      await victim.evaluate(leaveEverywhere);
      other = await house.tenant('same-origin');
      await other.data('new_page', { url: house.web });
    });
    afterAll(() => other.end());

    test.each(Object.entries(attempts))('[S6] by %s', async (_what, source) => {
      const got = await other.attempt('evaluate_script', { function: `async () => { ${source} }` });
      expect(got).not.toContain(secret);
      expect(got).not.toContain('"isError":true');
      expect(await other.attempt('list_pages')).not.toContain(secret);
      expect(await victim.evaluate('() => window.kept')).toBe('the state of this page');
    });
  });

  test('[S6] nor does it see what the other downloads', async () => {
    const other = await house.tenant('other');
    await other.data('new_page', { url: house.web });
    await other.evaluate(`() => {
      const frame = document.body.appendChild(document.createElement('iframe'));
      const link = frame.contentDocument.createElement('a');
      Object.assign(link, { href: 'data:text/plain,of the other', download: 'other.txt' });
      frame.contentDocument.body.append(link);
      link.click();
    }`);
    await waitUntil(async () => {
      const { downloads } = await other.data('list_downloads', { timeout: 5_000 });
      return JSON.stringify(downloads).includes('"name":"other.txt","state":"completed"');
    });
    expect(await victim.data('list_downloads')).toEqual({ downloads: [] });
    await other.end();
  });
});
