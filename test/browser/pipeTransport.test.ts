import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { nodesOf } from '../../src/browser/process/browserTransport.js';
import { PipeTransport } from '../../src/browser/process/pipeTransport.js';

interface Opened {
  readonly browser: PassThrough;
  readonly transport: PipeTransport;
  readonly received: string[];
  readonly drops: string[];
  readonly closed: Promise<unknown>;
}

function open(maxMessageBytes: number): Opened {
  const browser = new PassThrough();
  const transport = new PipeTransport(new PassThrough(), browser, maxMessageBytes);
  const [received, drops]: string[][] = [[], []];
  transport.onmessage = (message) => void received?.push(message);
  transport.ondrop = (because) => drops?.push(because);
  return { browser, transport, received: received ?? [], drops: drops ?? [], closed: once(browser, 'close') };
}

test('what is sent in one turn is written at once, in order', async () => {
  const toBrowser = new PassThrough().setEncoding('utf8');
  const written: string[] = [];
  toBrowser.on('data', (text: string) => void written.push(text));
  const transport = new PipeTransport(toBrowser, new PassThrough());
  for (const message of ['a', 'b']) transport.send(message);
  await nextTurn();
  transport.send('c');
  await nextTurn();
  expect(written).toEqual(['a\0b\0', 'c\0']);
});

test('a message that arrives in pieces is handed over whole, and the next one after it', async () => {
  const { browser, received, transport } = open(10);
  for (const piece of ['ab', 'cd', 'ef\0gh\0', '0123456789', '\0']) {
    browser.write(piece);
    await nextTurn();
  }
  while (received.length < 3) await nextTurn();
  expect(received).toEqual(['abcdef', 'gh', '0123456789']);
  expect(transport.droppedBecause).toBeUndefined();
});

test('a script over the bound, as with a huge source map in it, is passed over', async () => {
  const { browser, received, transport } = open(40);
  for (const piece of ['{"method":"Debugger.scriptParsed","params":', 'x'.repeat(50), 'y'.repeat(50), '}\0next\0']) {
    browser.write(piece);
    await nextTurn();
  }
  while (received.length < 1) await nextTurn();
  expect(received).toEqual(['next']);
  expect(transport.droppedBecause).toBeUndefined();
});

test.each([
  ['while it arrives, before its end', ['01234', '56789', '+']],
  ['when it arrives in one piece', ['0123456789+\0next\0']],
])('a message over the bound drops the connection %s', async (_when, pieces) => {
  const { browser, received, drops, closed, transport } = open(10);
  browser.write('first\0');
  await nextTurn();
  for (const piece of pieces) {
    browser.write(piece);
    await nextTurn();
  }
  await closed;
  await nextTurn();
  expect(received).toEqual(['first']);
  expect(drops).toEqual([expect.stringContaining('more than 10 bytes')]);
  expect(transport.droppedBecause).toBe(drops[0]);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('no such frame');
    },
  ],
  ['rejects', () => Promise.reject(new Error('no such frame'))],
])('a handler of messages that %s ends the connection, and hears no more', async (_how, handler) => {
  const { browser, transport, drops, closed } = open(100);
  const handled = recorded(handler);
  transport.onmessage = handled.call;
  browser.write('one\0two\0');
  await closed;
  await nextTurn();
  expect(handled.messages).toEqual(['one']);
  expect(drops).toEqual([expect.stringContaining('no such frame')]);
});

function recorded(handler: () => void | Promise<void>) {
  const messages: string[] = [];
  return {
    messages,
    call: (message: string) => {
      messages.push(message);
      return handler();
    },
  };
}

describe('a long message is not made in one piece', () => {
  const mib = 1024 ** 2;
  const session = '"sessionId":"A1"';
  /** What is handed over of a message that arrives in pieces of 64 KiB, as a pipe is read. */
  async function heard(text: string): Promise<Record<string, unknown>> {
    const { browser, received, transport } = open(64 * mib);
    const bytes = Buffer.from(`${text}\0{"end":1}\0`);
    for (let at = 0; at < bytes.length; at += 64 * 1024) browser.write(bytes.subarray(at, at + 64 * 1024));
    while (received.at(-1) !== '{"end":1}') await nextTurn();
    expect(transport.droppedBecause).toBeUndefined();
    return JSON.parse(received.length === 1 ? '{}' : (received[0] ?? '')) as Record<string, unknown>;
  }
  const event = (method: string, params: unknown): string =>
    `${JSON.stringify({ method, params }).slice(0, -1)},${session}}`;

  test.each([
    ['letters', 'a', 1.1 * mib],
    ['escapes', '\u0001', mib / 4],
    ['quotation marks', '"', 0.6 * mib],
    ['backslashes', '\\', 0.6 * mib],
    ['characters of two, three and four bytes', 'éあ😀', mib / 8],
    ['a mixture', '\\"u0041\u0002é', mib / 8],
  ])('texts of an event are cut where a character ends: %s', async (_what, part, times) => {
    for (const before of ['', 'x', 'xy', 'xyz', 'xyzw', '"', '\\']) {
      const url = before + part.repeat(times);
      const { params, sessionId } = await heard(event('Network.requestWillBeSent', { url, id: 'last' }));
      const { url: kept, id } = params as { url: string; id: string };
      expect([id, sessionId]).toEqual(['last', 'A1']);
      expect(kept.length).toBeLessThan(300 * 1024);
      expect(kept.endsWith('…') && url.startsWith(kept.slice(0, -1))).toBe(true);
    }
  });

  test.each(['Page.screencastFrame', 'HeapProfiler.addHeapSnapshotChunk'])('data of %s stays whole', async (method) => {
    expect(await heard(event(method, { data: 'a'.repeat(2 * mib) }))).toMatchObject({
      params: { data: 'a'.repeat(2 * mib) },
    });
  });

  test('a response is whole, in any characters', async () => {
    const body = 'é"\u0001😀'.repeat(mib / 4);
    expect(await heard(JSON.stringify({ id: 7, result: { body } }))).toEqual({ id: 7, result: { body } });
  });

  test('the nodes of a large tree are parsed one after another, and are the same', async () => {
    const names = ['a', '"]}', '\\', '\\"', 'é😀', '[{', 'x'.repeat(200_000)];
    const nodes = Array.from({ length: 6_000 }, (_, index) => ({
      nodeId: String(index),
      name: { value: names[index % 500 === 0 ? 6 : index % 6], list: [[index], {}] },
    }));
    const response = await heard(`${JSON.stringify({ id: 7, result: { nodes } }).slice(0, -1)},${session}}`);
    expect(response).toMatchObject({ id: 7, sessionId: 'A1', result: { nodes: [] } });
    const read = nodesOf(response['result'] as { readonly nodes: object[] });
    expect(read.length).toBe(nodes.length);
    expect(JSON.stringify(read) === JSON.stringify(nodes)).toBe(true);
    expect(nodesOf({ nodes: [1, 2] })).toEqual([1, 2]);
  });

  test('one that would take too long to parse is an error of its command alone', async () => {
    const text = `{"id":7,"result":{"body":"${'a'.repeat(25 * mib)}"},${session}}`;
    expect(await heard(text)).toEqual({
      id: 7,
      sessionId: 'A1',
      error: { code: -32000, message: expect.stringContaining('left out: it is too long') as unknown },
    });
  });

  test('an event of very many parts is left out, and of a console that is said', async () => {
    const args = Array.from({ length: 110_000 }, () => ({ type: 'undefined' }));
    expect(await heard(event('Runtime.consoleAPICalled', { args }))).toMatchObject({
      method: 'Log.entryAdded',
      params: {
        entry: { level: 'warning', text: expect.stringMatching(/message of \d+ bytes was left out/) as unknown },
      },
      sessionId: 'A1',
    });
    expect(await heard(event('Network.requestWillBeSentExtraInfo', { args }))).toEqual({});
    // Something waits for what is said then.
    expect((await heard(event('Debugger.paused', { args })))['params']).toHaveProperty('args.length', args.length);
  });

  test('between two messages others have a turn, and a browser that says too much waits', async () => {
    const { browser, transport } = open(100);
    let [turns, most, handled] = [0, 0, 0];
    const turn = (): void => {
      turns += 1;
      if (handled < 10_000) setImmediate(turn);
    };
    transport.onmessage = () => void (handled += 1);
    const messages = Buffer.from('{}\0'.repeat(10_000));
    browser.write(messages);
    setImmediate(turn);
    let before = 0;
    while (handled < 10_000) {
      await nextTurn();
      most = Math.max(most, handled - before);
      before = handled;
    }
    expect(most).toBe(1);
    expect(turns).toBeGreaterThan(9_000);
  });

  test('what has arrived is handed over before the end of the connection is told', async () => {
    const { browser, transport, received } = open(100);
    const told = new Promise<number>((resolve) => (transport.onclose = () => resolve(received.length)));
    browser.write('{}\0'.repeat(50));
    await nextTurn();
    browser.destroy();
    expect(await told).toBe(50);
  });
});
