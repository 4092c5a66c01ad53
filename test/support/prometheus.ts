import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { send } from './http.js';
import { root } from './root.js';

const files = join(root, '.deploy/prometheus');

const resultSchema = z.array(
  z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
);
const rulesSchema = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          name: z.string(),
          health: z.string(),
          lastError: z.string().optional(),
          state: z.string().optional(),
        }),
      ),
    }),
  ),
});

/** A real Prometheus with the files of `.deploy/`, but for the address of the server and the pace. */
export class Prometheus {
  readonly #url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, process: ChildProcess, folder: string) {
    this.#url = url;
    this.#process = process;
    this.#folder = folder;
  }

  /** @param token With which it reads the figures of the server. */
  static async start(server: string, token: string): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-prometheus-'));
    const deployed = await readFile(join(files, 'prometheus.yml'), 'utf8');
    const config = deployed
      .replace('127.0.0.1:32122', new URL(server).host)
      .replace(/_interval: 15s/g, '_interval: 250ms');
    await writeFile(join(folder, 'prometheus.yml'), config);
    await writeFile(join(folder, 'greenroom-token'), token);
    await copyFile(join(files, 'greenroom.rules.yml'), join(folder, 'greenroom.rules.yml'));
    const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
    const child = spawn('prometheus', [...args, '--web.listen-address=127.0.0.1:0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      if (!line.includes('ready to receive web requests')) continue;
      child.stderr.resume();
      const [, address = ''] = /msg="Listening on" address=(\S+)/.exec(said.join('\n')) ?? [];
      return new Prometheus(`http://${address}`, child, folder);
    }
    throw new Error(`Prometheus does not start: ${said.join('\n')}`);
  }

  async ask(path: string): Promise<unknown> {
    const { json } = await send(`${this.#url}/api/v1/${path}`);
    return z.object({ status: z.literal('success'), data: z.unknown() }).parse(json).data;
  }

  /** The samples of a query now. */
  async query(expression: string): Promise<z.infer<typeof resultSchema>> {
    const data = await this.ask(`query?query=${encodeURIComponent(expression)}`);
    return z.object({ result: resultSchema }).parse(data).result;
  }

  async rules(): Promise<z.infer<typeof rulesSchema>['groups'][number]['rules']> {
    return rulesSchema.parse(await this.ask('rules')).groups.flatMap(({ rules }) => rules);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
