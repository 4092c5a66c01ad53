import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism, platform } from 'node:os';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Order, Outcome } from './load.js';
import type { Answer, Memory, Processor, Question } from './servers/serve.js';

/** A process of the bench, on a core of its own where the system can do that. Whoever starts it stops it. */
class Pinned<Told> {
  readonly #child: ChildProcess;

  constructor(
    file: string,
    core: number,
    { profile, args: given = [] }: { profile?: string | undefined; args?: readonly string[] } = {},
  ) {
    const profiling = profile === undefined ? [] : profilingInto(profile);
    const flags = ['--expose-gc', '--no-warnings', ...profiling];
    const node = [process.execPath, ...flags, fileURLToPath(new URL(file, import.meta.url)), ...given];
    const pinned = platform() === 'linux' && availableParallelism() > 1 ? ['taskset', '-c', String(core)] : [];
    const [command = '', ...args] = [...pinned, ...node];
    this.#child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    });
  }

  hears(): Promise<Told> {
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error('A process of the bench ended.'));
      this.#child.once('exit', gone).once('message', (message) => {
        this.#child.off('exit', gone);
        // The child's own type says what it sends.
        resolve(message as Told);
      });
    });
  }

  ask(question: Order | Question): Promise<Told> {
    const heard = this.hears();
    this.#child.send(question);
    return heard;
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    await this.#end(() => this.#child.disconnect());
  }

  /** With SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end(() => this.#child.kill('SIGKILL'));
  }

  async #end(end: () => unknown): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    end();
    await gone;
  }
}

const profilingInto = (file: string): string[] => [
  '--cpu-prof',
  `--cpu-prof-dir=${dirname(file)}`,
  `--cpu-prof-name=${basename(file)}`,
];

export interface MeasuredServer {
  readonly url: string;
  memory(): Promise<Memory>;
  processor(): Promise<Processor>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Starts one of `test/bench/servers` on the first core. With a file, it leaves a profile there as it stops. */
export async function startMeasured(
  name: string,
  profile?: string,
  args: readonly string[] = [],
): Promise<MeasuredServer> {
  const child = new Pinned<Answer>(`./servers/${name}.js`, 0, { profile, args });
  const told = await child.hears();
  if (!('url' in told)) throw new Error(`${name} did not say where it listens.`);
  return {
    url: told.url,
    memory: async () => {
      const answer = await child.ask('memory');
      if (!('heap' in answer)) throw new Error(`${name} did not say what it holds.`);
      return answer;
    },
    processor: async () => {
      const answer = await child.ask('processor');
      if (!('processorMs' in answer)) throw new Error(`${name} did not say what it used.`);
      return answer;
    },
    stop: () => child.stop(),
    kill: () => child.kill(),
  };
}

export interface Load {
  carryOut(order: Order): Promise<Outcome>;
  stop(): Promise<void>;
}

/** Starts the process that makes the load, on the second core. */
export function startLoad(): Load {
  const child = new Pinned<Outcome | { readonly error: string }>('./load.js', 1);
  return {
    carryOut: async (order) => {
      const outcome = await child.ask(order);
      if ('error' in outcome) throw new Error(outcome.error);
      return outcome;
    },
    stop: () => child.stop(),
  };
}
