import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
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

test('a long message is written in parts, each when the one before is written, and the next message after it', async () => {
  const [written, taken]: [Buffer[], (() => void)[]] = [[], []];
  const toBrowser = new Writable({
    write(part: Buffer, _encoding, callback) {
      written.push(part);
      taken.push(callback);
    },
  });
  const transport = new PipeTransport(toBrowser, new PassThrough());
  const long = '😀é"'.repeat(400_000);
  for (const message of [long, 'after']) transport.send(message);
  await nextTurn();
  transport.send('last');
  for (let next = taken.shift(); next !== undefined; next = taken.shift()) {
    expect(toBrowser.writableLength).toBeLessThan(1024 ** 2);
    next();
    await nextTurn();
  }
  expect(Buffer.concat(written).toString() === `${long}\0after\0last\0`).toBe(true);
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
  /** Characters that are parsed at once: a turn takes no longer because a message is longer. */
  const mostAtOnce = 256 * 1024;
  const parse = JSON.parse;
  let parsed: number[];
  beforeEach(() => {
    parsed = [];
    JSON.parse = (text: string, ...rest: []): unknown => {
      parsed.push(text.length);
      return parse(text, ...rest);
    };
  });
  afterEach(() => void (JSON.parse = parse));

  /** What is handed over of a message that arrives in pieces of 64 KiB, as a pipe is read. */
  async function heard(text: string): Promise<Record<string, unknown>> {
    const { browser, received, transport } = open(64 * mib);
    const messages: object[] = [];
    transport.deliverTo({
      session: (id) => (id === 'A1' ? { onMessage: (message) => void messages.push(message) } : null),
    });
    const bytes = Buffer.from(`${text}\0{"end":1}\0`);
    for (let at = 0; at < bytes.length; at += 64 * 1024) browser.write(bytes.subarray(at, at + 64 * 1024));
    while (received.at(-1) !== '{"end":1}') await nextTurn();
    expect(transport.droppedBecause).toBeUndefined();
    expect(Math.max(0, ...parsed)).toBeLessThan(mostAtOnce);
    const [message] = [...messages, ...received.slice(0, -1).map((short) => parse(short) as object)];
    return (message ?? {}) as Record<string, unknown>;
  }
  const response = (result: object): string => `${JSON.stringify({ id: 7, result }).slice(0, -1)},${session}}`;
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
    expect(await heard(event(method, { data: 'a'.repeat(2 * mib) }))).toEqual({
      method,
      sessionId: 'A1',
      params: { data: 'a'.repeat(2 * mib) },
    });
  });

  test.each([
    ['letters', 'a'],
    ['escapes', '\u0001'],
    ['quotation marks and backslashes', '"\\\\'],
    ['characters of two, three and four bytes', 'éあ😀'],
    ['a mixture', 'é"\u0001😀\n'],
  ])('a response of %s is whole', async (_what, part) => {
    for (const before of ['', 'x', 'xy', 'xyz', '\\', '"']) {
      const body = before + part.repeat((2 * mib) / Buffer.byteLength(part));
      const { result, ...rest } = await heard(response({ body, base64Encoded: false }));
      expect(rest).toEqual({ id: 7, sessionId: 'A1' });
      // Not `toEqual`, whose message would have both.
      expect((result as { body: string }).body === body).toBe(true);
    }
  });

  test('a response of many parts is the same as parsed at once, with long parts in it', async () => {
    const names = ['a', '"]}', '\\', '\\"', 'é😀', '[{', 'x'.repeat(200_000)];
    const nodes = Array.from({ length: 6_000 }, (_, index) => ({
      nodeId: String(index),
      name: { value: names[index % 500 === 0 ? 6 : index % 6], list: [[index, -1.5e-3, null, true], {}, []] },
    }));
    const byName = Object.fromEntries(nodes.map((node, index) => [`${index}"\\é`, node]));
    const text = response({ nodes, byName, long: { [names[6] ?? '']: [[[nodes]]] } });
    const found = await heard(text.replace('"nodes":', ' "__proto__" : {"a":1} ,\n "nodes" :\t'));
    const wanted = parse(text.replace('"nodes":', '"__proto__":{"a":1},"nodes":')) as object;
    expect(JSON.stringify(found) === JSON.stringify(wanted)).toBe(true);
    expect(found['result']).not.toHaveProperty('a');
  });

  test.each([
    ['to no session', (text: string) => text.replace(`,${session}`, '')],
    ['to a session that is gone', (text: string) => text.replace('A1', 'B2')],
  ])('a long response %s is an error of its command', async (_to, changed) => {
    expect(await heard(changed(response({ body: 'a'.repeat(2 * mib) })))).toEqual({
      id: 7,
      error: { code: -32000, message: expect.stringContaining('left out: it is too long') as unknown },
    });
  });

  test.each(['}', '],', '1 ', '"', '\u0001'])(
    'a long message that is broken (%j) ends the connection',
    async (broken) => {
      const { browser, transport, closed, drops } = open(64 * mib);
      transport.deliverTo({ session: () => ({ onMessage: () => undefined }) });
      const text = response({ list: [[[1]]], body: 'a'.repeat(2 * mib) });
      browser.write(`${text.replace('[[[', `[[[${broken}`)}\0`);
      await closed;
      expect(drops).toEqual([expect.stringContaining('could not be handled')]);
    },
  );

  test('messages behind a long one wait for it', async () => {
    const { browser, transport, received } = open(64 * mib);
    const order: unknown[] = [];
    const onMessage = (message: object): void => void order.push((message as { id: number }).id, received.length);
    transport.deliverTo({ session: () => ({ onMessage }) });
    browser.write(`{"first":1}\0${response({ body: 'a'.repeat(2 * mib) })}\0{"last":1}\0`);
    while (received.length < 2) await nextTurn();
    expect(order).toEqual([7, 1]);
  });

  test('one longer than a tool may ask for is an error of its command alone', async () => {
    const text = `{"id":7,"result":{"body":"${'a'.repeat(33 * mib)}"},${session}}`;
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
