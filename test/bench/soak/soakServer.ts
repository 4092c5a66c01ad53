import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Question, Sample } from './server.js';

/** The parts of the soak, of which each has a server of its own. */
export type Part = 'visits' | 'hostile';

/** The measured server, a process of its own. Whoever starts it ends it. */
export class SoakServer {
  readonly #child: ChildProcess;
  readonly url: string;

  static async start(part: Part): Promise<SoakServer> {
    const child = spawn(
      process.execPath,
      ['--expose-gc', '--no-warnings', fileURLToPath(new URL('./server.js', import.meta.url)), part],
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
    );
    const { url } = (await hear(child)) as { readonly url: string };
    return new SoakServer(child, url);
  }

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null;
  }

  async ask(question: Question): Promise<Sample> {
    const heard = hear(this.#child);
    this.#child.send(question);
    return (await heard) as Sample;
  }

  /** The server at rest: what has vanished is noticed and released, but for what is kept ready for the next client. */
  async whenAllGone(withinMs: number): Promise<Sample> {
    const startedAt = Date.now();
    for (;;) {
      const sample = await this.ask('sample');
      if (sample.sessions === 0 || Date.now() - startedAt > withinMs) return sample;
      await pause(200);
    }
  }

  /** Closes everything, then measures for the last time. */
  async end(): Promise<Sample> {
    const last = await this.ask('end');
    this.#child.disconnect();
    return last;
  }
}

/** The child's next message, or the end of the soak: a server that ends by itself is the worst that it can find. */
async function hear(child: ChildProcess): Promise<unknown> {
  const heard = new AbortController();
  const { signal } = heard;
  const gone = once(child, 'exit', { signal }).then(() => Promise.reject(new Error('The server ended.')));
  const message = await Promise.race([once(child, 'message', { signal }), gone]);
  gone.catch(() => undefined);
  heard.abort();
  return message[0];
}
