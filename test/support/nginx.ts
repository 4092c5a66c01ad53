import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './redisServer.js';

/** Debian has it where only root looks. */
const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** A real nginx with one configuration of a site. The test stops it. */
export class Nginx {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, process: ChildProcess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  /** `site`: what is within `http`, for the port that it is given. */
  static async start(site: (port: number) => string): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-nginx-'));
    const port = await freePort();
    const file = join(folder, 'nginx.conf');
    const paths = temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
    const user = process.getuid?.() === 0 ? 'user root;' : '';
    const http = `access_log off; ${paths}\n${site(port)}`;
    await writeFile(file, `daemon off; ${user} pid ${folder}/pid;\nevents {}\nhttp {\n${http}\n}\n`);
    const args = ['-p', folder, '-c', file, '-e', 'stderr'];
    const { status, stderr } = spawnSync('nginx', ['-t', ...args], { env });
    if (status !== 0) throw new Error(`nginx does not take it: ${String(stderr)}`);
    const child = spawn('nginx', args, { env, stdio: 'ignore' });
    return new Nginx(`http://127.0.0.1:${port}`, child, folder);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
