import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { send } from '../support/http.js';
import { nameOf } from './check.js';
import { now } from './history.js';
import { Link } from './link.js';
import type { NodeArguments, NodeOrder } from './node.js';
import { PersistentRedis } from './persistentRedis.js';
import type { Fault } from './plan.js';

export interface FleetOptions {
  /** A folder of its own, which is there. */
  readonly folder: string;
  /** The compiled node.ts. */
  readonly program: string;
  readonly nodes: number;
  readonly leaseMs: number;
}

const timeoutMs = 800;
/** Past it a node that has started will never be ready. */
const readyMs = 120_000;
/** Past it a node that is asked to end has not. */
const endMs = 30_000;

/** One node, through all the processes that it has been. */
class FleetNode {
  readonly link: Link;
  readonly #given: Omit<NodeArguments, 'name'> & { readonly name: string; readonly program: string };
  #child: ChildProcess | undefined;
  #url = '';

  constructor(link: Link, given: Omit<NodeArguments, 'redisUrl'> & { readonly program: string }) {
    this.link = link;
    this.#given = { ...given, redisUrl: `redis://127.0.0.1:${link.port}` };
  }

  /** Where it listens, or did last. */
  get url(): string {
    return this.#url;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  async start(): Promise<void> {
    const { program, ...given } = this.#given;
    const child = fork(program, [JSON.stringify(given)], {
      execArgv: ['--no-warnings'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    });
    this.#child = child;
    const [{ url }] = (await once(child, 'message')) as [{ readonly url: string }];
    this.#url = url;
  }

  /** Resolves when the node lets clients in; rejects if it never does. */
  async whenReady(): Promise<void> {
    const until = now() + readyMs;
    while (now() < until) {
      const ready = await send(`${this.#url}/ready`).catch(() => undefined);
      if (ready?.status === 200) return;
      await pause(50);
    }
    throw new Error(`${this.#given.name} does not become ready.`);
  }

  /** Resolves when the process is gone; false if it had to be killed. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return true;
    const ended = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), endMs);
    const [code] = (await ended) as [number | null];
    clearTimeout(late);
    return signal === 'SIGKILL' || code === 0;
  }

  async stall(ms: number): Promise<void> {
    this.#child?.kill('SIGSTOP');
    await pause(ms);
    this.#child?.kill('SIGCONT');
  }

  async deafen(ms: number): Promise<void> {
    this.#order({ isDeaf: true });
    await pause(ms);
    this.#order({ isDeaf: false });
  }

  #order(order: NodeOrder): void {
    if (this.#child?.connected === true) this.#child.send(order);
  }
}

/** Nodes as processes of their own, one Redis, and a link between each of them and it. Whoever starts it stops it. */
export class Fleet {
  readonly redis: PersistentRedis;
  readonly nodes: readonly FleetNode[];
  /** Nodes that did not end when they were asked to. */
  readonly stuck: string[] = [];

  private constructor(redis: PersistentRedis, nodes: readonly FleetNode[]) {
    this.redis = redis;
    this.nodes = nodes;
  }

  static async start({ folder, program, nodes: count, leaseMs }: FleetOptions): Promise<Fleet> {
    const redis = await PersistentRedis.start(join(folder, 'redis'));
    const nodes = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const [name, dataDir] = [nameOf(index), join(folder, nameOf(index))];
        await mkdir(dataDir);
        const ledger = join(folder, 'ledger.jsonl');
        const link = await Link.open(() => redis.port);
        return new FleetNode(link, { program, name, leaseMs, timeoutMs, ledger, dataDir });
      }),
    );
    const fleet = new Fleet(redis, nodes);
    await Promise.all(nodes.map((node) => node.start()));
    await Promise.all(nodes.map((node) => node.whenReady()));
    return fleet;
  }

  urlOf(node: number): string {
    return this.#node(node).url;
  }

  /** Resolves when it is over, and what it ended runs again. */
  async befall({ kind, node: index, ms }: Pick<Fault, 'kind' | 'node' | 'ms'>): Promise<void> {
    const node = this.#node(index);
    const { link } = node;
    const happen = {
      kill: () => this.#restart(index, 'SIGKILL', ms),
      leave: () => this.#restart(index, 'SIGTERM', ms),
      stall: () => node.stall(ms),
      cut: () => link.cut(ms),
      delay: () => link.delay(ms, Math.ceil(ms / 20)),
      halfClose: async () => link.halfClose(),
      hold: () => link.hold(ms),
      deaf: () => node.deafen(ms),
      evict: () => this.redis.evict().catch(() => undefined),
      restart: () => this.redis.restart(ms),
      roll: () => this.roll(),
    };
    await happen[kind]();
  }

  /** A rolling restart: one node after the other, each ready again before the next. */
  async roll(): Promise<void> {
    for (const [index, node] of this.nodes.entries()) {
      await this.#restart(index, 'SIGTERM', 0);
      await node.whenReady();
    }
  }

  /** Sessions that are open, by the nodes themselves. */
  async sessions(): Promise<number> {
    const totals = await Promise.all(
      this.nodes.map(async ({ url }) => {
        const { json } = await send(`${url}/health`);
        return (json as { readonly sessions: { readonly total: number } }).sessions.total;
      }),
    );
    return totals.reduce((sum, total) => sum + total, 0);
  }

  async endNodes(): Promise<void> {
    await Promise.all(this.nodes.map((_, index) => this.#end(index, 'SIGTERM')));
  }

  /** However it fares. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGKILL')));
    await Promise.all(this.nodes.map(({ link }) => link.close()));
    await this.redis.stop();
  }

  async #restart(index: number, signal: 'SIGKILL' | 'SIGTERM', ms: number): Promise<void> {
    await this.#end(index, signal);
    await pause(ms);
    await this.#node(index).start();
  }

  async #end(index: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!(await this.#node(index).end(signal))) this.stuck.push(nameOf(index));
  }

  #node(index: number): FleetNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`There is no node ${index}.`);
    return node;
  }
}
