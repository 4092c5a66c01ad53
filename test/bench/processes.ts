import { spawn, type ChildProcess } from 'node:child_process';
import { availableParallelism, platform } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Order, Outcome } from './load.js';
import type { Answer } from './servers/serve.js';

/** A process of the bench, on a core of its own where the system can do that. Whoever starts it stops it. */
class Pinned<Told> {
  readonly #child: ChildProcess;

  constructor(file: string, core: number) {
    const node = [process.execPath, '--expose-gc', '--no-warnings', fileURLToPath(new URL(file, import.meta.url))];
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

  ask(question: Order | 'memory'): Promise<Told> {
    const heard = this.hears();
    this.#child.send(question);
    return heard;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

export interface MeasuredServer {
  readonly url: string;
  memory(): Promise<{ heap: number; resident: number }>;
  stop(): void;
}

/** Starts one of `test/bench/servers` on the first core. */
export async function startMeasured(name: string): Promise<MeasuredServer> {
  const child = new Pinned<Answer>(`./servers/${name}.js`, 0);
  const told = await child.hears();
  if (!('url' in told)) throw new Error(`${name} did not say where it listens.`);
  return {
    url: told.url,
    memory: async () => {
      const answer = await child.ask('memory');
      if (!('heap' in answer)) throw new Error(`${name} did not say what it uses.`);
      return answer;
    },
    stop: () => child.stop(),
  };
}

export interface Load {
  carryOut(order: Order): Promise<Outcome>;
  stop(): void;
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
