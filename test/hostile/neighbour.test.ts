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
