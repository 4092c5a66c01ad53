import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { CheckClient } from '../../src/selftest/checkContext.js';
import { CrosstalkDetector } from '../../src/selftest/crosstalk.js';

/** A server whose tools answer with what all sessions, or one alone, have said so far. */
function serverWith(memoryOf: (session: number) => string[]): (session: number) => CheckClient {
  return (session) => ({
    callTool: (request) => {
      memoryOf(session).push(JSON.stringify(request));
      return Promise.resolve({ content: [{ type: 'text', text: memoryOf(session).join('\n') }] });
    },
    listResources: () => Promise.resolve({ resources: memoryOf(session).map((name) => ({ name, uri: 'a:b' })) }),
    readResource: () => Promise.resolve({ contents: [] }),
  });
}

const fixturesOf = (session: number) => ({
  pages: `http://127.0.0.1:${4000 + session}`,
  extension: `/tmp/greenroom-selftest-aaaaa${session}/extension`,
  folder: `/tmp/greenroom-selftest-aaaaa${session}`,
});

async function exchange(server: (session: number) => CheckClient) {
  const witness = new CrosstalkDetector();
  const clients = [1, 2].map((session) => witness.watch(server(session), session, fixturesOf(session)));
  const word = randomUUID();
  for (const [at, client] of clients.entries()) {
    const url = `${fixturesOf(at + 1).pages}/selftest.html`;
    await client.callTool({ name: 'navigate_page', arguments: { url, ...(at === 0 && { word }) } });
    await client.listResources();
  }
  return { witness, word };
}

test('[S6] sessions that see only what they said are found to be apart', async () => {
  const memory = [[], [], []] as string[][];
  const { witness } = await exchange(serverWith((session) => memory[session] ?? []));
  expect(witness.crosstalk).toEqual([]);
  expect(witness.answers).toBe(4);
  expect(witness.marks).toBe(5);
});

test('[S6] an answer that shows a word or a place of another session is named, with both sessions', async () => {
  const memory: string[] = [];
  const { witness, word } = await exchange(serverWith(() => memory));
  expect(witness.crosstalk).toEqual([
    `session 2: navigate_page shows ${word}, which is session 1's`,
    `session 2: navigate_page shows 127.0.0.1:4001, which is session 1's`,
    `session 2: resources/list shows ${word}, which is session 1's`,
    `session 2: resources/list shows 127.0.0.1:4001, which is session 1's`,
  ]);
});

test('[S6] a port that only begins like that of another session is no word of it', async () => {
  const witness = new CrosstalkDetector();
  const client = serverWith(() => ['http://127.0.0.1:40011/'])(2);
  witness.watch(client, 1, fixturesOf(1));
  await witness.watch(client, 2, fixturesOf(2)).callTool({ name: 'list_pages' });
  expect(witness.crosstalk).toEqual([]);
});
