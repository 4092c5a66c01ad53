import { RawMcp } from '../support/rawMcp.js';
import { describeTransport, Refused, type ContractClient } from './contract.js';

function open(url: string): ContractClient {
  const client = new RawMcp(url);
  const opening = client.begin();
  let isPaused = false;
  const ready = opening
    .when(({ messages }) => messages.length > 0)
    .then(
      async ({ headers }) => {
        client.sessionId = String(headers['mcp-session-id']);
        await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
        await client.listen();
      },
      () => Promise.reject(new Refused(JSON.parse(opening.text || 'null'))),
    );
  return {
    ready,
    get announcements() {
      return client.streams.filter(({ headers }) => 'mcp-session-id' in headers).length;
    },
    get text() {
      return client.streams.map(({ text }) => text).join('');
    },
    get messages() {
      return client.messages;
    },
    send: async (message) => {
      if (!('id' in message)) await client.post(message);
      else if (isPaused) (await client.ask(message)).pause();
      else await client.ask(message);
    },
    answer: (id) => client.answer(id),
    refusal: async (body) => (await client.postText(body)).json,
    leave: async () => {
      await client.delete();
      await client.vanish();
    },
    vanish: () => client.vanish(),
    ended: async () => {
      await Promise.all(client.streams.map((stream) => stream.whenClosed()));
    },
    pause: () => {
      isPaused = true;
      for (const stream of client.streams) stream.pause();
    },
  };
}

describeTransport({ kind: 'streamable-http', slowClient: 'stream', vanished: 'idle', refusesGarbage: true, open });
