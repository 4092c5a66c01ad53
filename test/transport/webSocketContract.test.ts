import { RawWebSocket } from '../support/rawWebSocket.js';
import { describeTransport, RefusedError, type ContractClient } from './transportContract.js';

const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };

function open(url: string): ContractClient {
  const socket = new RawWebSocket(url);
  const refused = socket.refused.then(({ json }) => Promise.reject(new RefusedError(json)));
  const opened = socket.whenAnnounced().then((announced) => announced.call('initialize', 'initialize', params));
  opened.catch(() => undefined);
  return {
    ready: Promise.race([opened, refused]),
    get announcements() {
      return socket.sessionId === '' ? 0 : 1;
    },
    get text() {
      return socket.sessionId + socket.frames.join('');
    },
    get messages() {
      return socket.messages;
    },
    send: async (message) => {
      socket.send(message);
    },
    answer: (id) => socket.answer(id),
    // Tested beside the close codes: a message that is too large ends the socket.
    refusal: () => Promise.reject(new Error('not of this transport')),
    disconnect: () => socket.disconnect(),
    dropConnection: async () => {
      socket.socket.terminate();
      await socket.closed;
    },
    ended: async () => {
      await socket.closed;
    },
    pause: () => socket.socket.pause(),
  };
}

describeTransport({
  kind: 'websocket',
  slowClient: 'session',
  sessionAfterDrop: 'closed',
  refusesGarbage: false,
  open,
});
