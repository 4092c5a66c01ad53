import { RawSse } from '../support/rawSse.js';
import { describeTransport, RefusedError, type ContractClient } from './transportContract.js';

function open(url: string): ContractClient {
  const stream = new RawSse(url);
  return {
    ready: stream.whenAnnounced().then(
      (announced) => announced.initialize(),
      () => Promise.reject(new RefusedError(JSON.parse(stream.text || 'null'))),
    ),
    get announcements() {
      return stream.events.filter(({ event }) => event === 'endpoint').length;
    },
    get text() {
      return stream.text;
    },
    get messages() {
      return stream.messages;
    },
    send: async (message) => {
      await stream.post(message);
    },
    answer: (id) => stream.answer(id),
    refusal: async (body) => (await stream.postText(body)).json,
    disconnect: () => stream.disconnect(),
    dropConnection: () => stream.disconnect(),
    ended: () => stream.whenClosed(),
    pause: () => stream.pause(),
  };
}

describeTransport({ kind: 'sse', slowClient: 'session', sessionAfterDrop: 'closed', refusesGarbage: true, open });
