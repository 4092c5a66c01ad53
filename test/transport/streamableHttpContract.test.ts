import { RawMcp } from '../support/rawMcp.js';
import { describeTransport, RefusedError, type ContractClient } from './transportContract.js';

function open(url: string): ContractClient {
  const client = new RawMcp(url);
  const opening = client.sendInitialize();
  let isPaused = false;
  const ready = opening
    .when(({ messages }) => messages.length > 0)
    .then(
      async ({ headers }) => {
        client.sessionId = String(headers['mcp-session-id']);
        await client.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
        await client.listen();
      },
      () => Promise.reject(new RefusedError(JSON.parse(opening.text || 'null'))),
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
      else if (isPaused) (await client.sendRequest(message)).pause();
      else await client.sendRequest(message);
    },
    answer: (id) => client.answer(id),
    refusal: async (body) => (await client.postText(body)).json,
    disconnect: async () => {
      await client.delete();
      await client.disconnect();
    },
    dropConnection: () => client.disconnect(),
    ended: async () => {
      await Promise.all(client.streams.map((stream) => stream.whenClosed()));
    },
    pause: () => {
      isPaused = true;
      for (const stream of client.streams) stream.pause();
    },
  };
}

describeTransport({
  kind: 'streamable-http',
  slowClient: 'stream',
  sessionAfterDrop: 'idle',
  refusesGarbage: true,
  open,
});
