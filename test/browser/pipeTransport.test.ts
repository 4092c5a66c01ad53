import { once } from 'node:events';
import { PassThrough } from 'node:stream';
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
