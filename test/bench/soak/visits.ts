import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { postText } from '../../support/http.js';
import { RawMcp } from '../../support/rawMcp.js';
import { RawSse } from '../../support/rawSse.js';
import { RawStdio } from '../../support/rawStdio.js';
import { RawWebSocket } from '../../support/rawWebSocket.js';

/** A client of one transport that has initialised. */
export interface Visitor {
  /** The answer to a request. */
  ask(method: string, params?: Record<string, unknown>): Promise<unknown>;
  /** Posts something that is no message, and resolves with how that was answered. */
  blurt(text: string): Promise<string>;
  leave(): Promise<void>;
  /** Goes without a word. */
  vanish(): Promise<void>;
}

export type Transport = 'sse' | 'streamable' | 'webSocket' | 'stdio';

const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'soak', version: '1' } };

export const enter: Readonly<Record<Transport, (url: string) => Promise<Visitor>>> = {
  async sse(url) {
    const stream = await new RawSse(url).whenAnnounced();
    await stream.initialize();
    let id = 0;
    return {
      ask: (method, params) => stream.call((id += 1), method, params),
      blurt: async (text) => String((await stream.postText(text)).status),
      leave: () => stream.disconnect(),
      vanish: () => stream.disconnect(),
    };
  },

  async streamable(url) {
    const client = await new RawMcp(url).initialize();
    let id = 0;
    return {
      ask: async (method, params) => {
        const asked = (id += 1);
        await client.sendRequest({ jsonrpc: '2.0', id: asked, method, ...(params && { params }) });
        return client.answer(asked);
      },
      blurt: async (text) => String((await postText(client.address, text, client.headers)).status),
      leave: async () => {
        await client.delete();
        await client.disconnect();
      },
      vanish: () => client.disconnect(),
    };
  },

  async webSocket(url) {
    const socket = await new RawWebSocket(url).whenAnnounced();
    await socket.call('initialize', 'initialize', initialize);
    let id = 0;
    return {
      ask: (method, params) => socket.call((id += 1), method, params),
      blurt: async (text) => {
        const before = socket.frames.length;
        socket.send(text);
        await socket.when(({ frames }) => frames.length > before);
        return socket.frames.at(-1)?.includes('"error"') === true ? '400' : 'taken';
      },
      leave: () => socket.disconnect(),
      vanish: async () => {
        socket.socket.terminate();
        await socket.closed;
      },
    };
  },

  /** A process of its own, whose session needs no browser. */
  async stdio() {
    const main = fileURLToPath(new URL('../../../src/main.js', import.meta.url));
    const child = spawn(process.execPath, [main, 'stdio', '--lease', 'lazy', '--log-level', 'error'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = once(child, 'exit');
    const client = new RawStdio(child.stdin, child.stdout);
    let id = 0;
    const ask: Visitor['ask'] = (method, params = {}) => {
      id += 1;
      client.send({ jsonrpc: '2.0', id, method, params });
      return client.answer(id);
    };
    const refused = (): number => client.text.split('"id":null').length;
    await ask('initialize', initialize);
    return {
      ask,
      blurt: async (text) => {
        const before = refused();
        client.write(`${text}\n`);
        await client.first(() => refused() > before);
        return '400';
      },
      leave: async () => {
        child.stdin.end();
        await ended;
      },
      vanish: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  },
};

/** What a visitor does; rejects with what was not as it has to be. */
export type Visit = (visitor: Visitor, pages: string) => Promise<void>;

export const visits: Readonly<Record<'works' | 'misbehaves' | 'vanishes', Visit>> = {
  async works(visitor, pages) {
    expectIn(await visitor.ask('tools/list'), 'navigate_page');
    await succeed(visitor, 'navigate_page', { url: `${pages}/look.html` });
    await succeed(visitor, 'take_snapshot', {});
    expectIn(await succeed(visitor, 'evaluate_script', { function: '() => 40 + 2' }), '42');
    await succeed(visitor, 'new_page', { url: `${pages}/console.html` });
    await succeed(visitor, 'list_console_messages', {});
    await visitor.leave();
  },

  async misbehaves(visitor) {
    for (const text of ['{', '[]', '"ping"', '{"jsonrpc":"1.0","method":"ping"}', `"${'x'.repeat(60_000)}"`]) {
      const status = await visitor.blurt(text);
      if (status !== '400') throw new Error(`${text.slice(0, 50)} was answered with ${status}.`);
    }
    expectIn(await visitor.ask('no/such'), '-32601');
    expectIn(await visitor.ask('tools/call', { name: 'no_such' }), '-32602');
    expectIn(await visitor.ask('tools/call', { name: 'navigate_page', arguments: { url: 7 } }), 'isError');
    expectIn(await visitor.ask('ping'), '"result":{}');
    await visitor.leave();
  },

  async vanishes(visitor, pages) {
    const asked = visitor.ask('tools/call', { name: 'navigate_page', arguments: { url: `${pages}/slow?ms=1500` } });
    const lost = asked.catch(() => undefined);
    await visitor.ask('ping');
    await visitor.vanish();
    void lost;
  },
};

async function succeed(visitor: Visitor, name: string, args: object): Promise<unknown> {
  const answer = await visitor.ask('tools/call', { name, arguments: args });
  const text = JSON.stringify(answer);
  if (text.includes('"isError":true') || !text.includes('"result"')) throw new Error(`${name}: ${text.slice(0, 500)}`);
  return answer;
}

function expectIn(answer: unknown, part: string): void {
  const text = JSON.stringify(answer);
  if (!text.includes(part)) throw new Error(`${part} is missing in ${text.slice(0, 500)}`);
}
