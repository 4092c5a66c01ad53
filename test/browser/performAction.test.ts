import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
/** Takes connections and never answers. */
const silent = createServer();
let silentUrl: string;

beforeAll(async () => {
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...inputTools, ...lookTools, ...navigationTools]),
  ]);
});

afterAll(async () => {
  await harness.close();
  await pages.close();
  silent.close();
});

/** Clicks the button with this label and answers what the page says right after. */
async function clickAndRead(label: string): Promise<{ said: string; url: string; settled: boolean }> {
  const found = await harness.text('find_in_snapshot', { regex: `button "${label}"`, context: 0 });
  const { structured } = await harness.run('click', { uid: /uid=(e\d+)/.exec(found)?.[1] });
  const said = await harness.text('evaluate_script', { function: '() => document.body.innerText' });
  return { said, url: String(structured['url']), settled: structured['settled'] === true };
}

describe('after a click, the answer comes when the page has dealt with it', () => {
  beforeEach(async () => {
    await harness.run('navigate_page', { url: `${pages.url}/settle.html` });
  });

  test('a navigation is loaded, with what the load event rendered', async () => {
    const { said, url, settled } = await clickAndRead('Navigate');
    expect(url).toBe(`${pages.url}/settled.html`);
    expect(said).toContain('rendered on load');
    expect(settled).toBe(true);
  });

  test('what a request brought is rendered', async () => {
    expect((await clickAndRead('Fetch')).said).toContain('fetched slow');
  });

  test('what a timer of 50 ms changes is there', async () => {
    expect((await clickAndRead('Timer')).said).toContain('timer ran');
  });

  test('a request that a timer starts is followed too', async () => {
    expect((await clickAndRead('Chain')).said).toContain('fetched slow');
  });

  test('a click that does nothing is not waited for: a timer of 10 s is still due', async () => {
    const { said, settled } = await clickAndRead('Nothing');
    expect(said).toContain('silence');
    expect(settled).toBe(true);
  });

  test('what a shadow root shows late is there, also of one that is new', async () => {
    expect((await clickAndRead('Shadow')).settled).toBe(true);
    const shown = { function: `() => document.getElementById('host').shadowRoot.textContent` };
    expect(await harness.text('evaluate_script', shown)).toContain('shadow ran');
  });

  test('what a frame of another process fetches and shows is there', async () => {
    const url = `${pages.url}/settle.html`.replace('127.0.0.1', 'localhost');
    await harness.run('evaluate_script', {
      function: `(url) => new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.src = url;
        frame.onload = resolve;
        document.body.prepend(frame);
      })`,
      args: [url],
    });
    const snapshot = await harness.text('take_snapshot');
    const [own = '', framed = ''] = [...snapshot.matchAll(/uid=(\S+) button "Fetch"/g)].map(([, uid]) => uid);
    expect(own).not.toBe(framed);
    for (const uid of [own, framed]) await harness.run('click', { uid });
    const after = await harness.text('take_snapshot');
    expect(after.match(/fetched slow/g)).toHaveLength(2);
  });

  test('a request without an end is given up at the limit, and the answer says so', async () => {
    await harness.run('evaluate_script', {
      function: `(url) => { document.getElementById('later').onclick = () => void fetch(url); }`,
      args: [silentUrl],
    });
    expect((await clickAndRead('Nothing')).settled).toBe(false);
  });
});

test('aborting a navigation stops the load in the browser', async () => {
  const stopping = new AbortController();
  const connected = once(silent, 'connection') as Promise<[Socket]>;
  const answer = harness.run('navigate_page', { url: `${silentUrl}/aborted` }, { signal: stopping.signal });
  const [socket] = await connected;
  const dropped = once(socket.resume(), 'close');
  stopping.abort(new Error('cancelled by the test'));
  await expect(answer).rejects.toThrow('cancelled by the test');
  await dropped;
});
