import type { JSONRPCMessage } from '../../src/mcp/protocol.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { ManualClock } from '../support/manualClock.js';
import { streamPair } from '../support/rawStdio.js';
import { testServerAt } from '../support/testServer.js';
import { describeTransport, RefusedError, type ContractClient } from './transportContract.js';

const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };

function open(url: string): ContractClient {
  const { input, output, client } = streamPair();
  const clock = new ManualClock();
  testServerAt(url).orchestrator.connect(new StdioTransport(input, output, { clock, bodyLimit: 64 * 1024 }));
  client.send({ jsonrpc: '2.0', id: 'initialize', method: 'initialize', params });
  const begun = client.answer('initialize');
  return {
    ready: begun.then((answer) => ('error' in answer ? Promise.reject(new RefusedError(answer)) : answer)),
    get announcements() {
      return client.values.filter((value) => JSON.stringify(value).includes('"protocolVersion"')).length;
    },
    get text() {
      return client.text;
    },
    get messages() {
      return client.messages;
    },
    send: async (message) => {
      client.send(message);
    },
    answer: async (id) => (await client.answer(id)) as unknown as JSONRPCMessage,
    refusal: (body) => {
      client.write(`${body}\n`);
      return client.first((value) => 'error' in value);
    },
    disconnect: async () => {
      client.closeInput();
    },
    dropConnection: () => {
      client.closeInput();
      output.destroy();
      return Promise.resolve();
    },
    ended: async () => {
      await client.ended;
    },
    pause: () => client.pause(),
  };
}

describeTransport({ kind: 'stdio', slowClient: 'session', sessionAfterDrop: 'closed', refusesGarbage: true, open });
