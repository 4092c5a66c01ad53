import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { send } from '../support/http.js';
import { nodeName } from './invariants.js';
import { now } from './history.js';
import { FaultyLink } from './faultyLink.js';
import type { NodeArguments, NodeOrder } from './chaosNode.js';
import { PersistentRedis } from './persistentRedis.js';
import type { Fault } from './faultPlan.js';

export interface FleetOptions {
  /** A folder of its own, which is there. */
  readonly folder: string;
  /** The compiled node.ts. */
  readonly program: string;
  readonly nodes: number;
  readonly leaseMs: number;
}

const redisTimeoutMs = 800;
/** Past it a node that has started will never be ready. */
const readyTimeoutMs = 120_000;
/** Past it a node that is asked to end has not. */
const endTimeoutMs = 30_000;

/** One node, through all the processes that it has been. */
class FleetNode {
  readonly link: FaultyLink;
  readonly #arguments: Omit<NodeArguments, 'name'> & { readonly name: string; readonly program: string };
  #child: ChildProcess | undefined;
  #url = '';

  constructor(link: FaultyLink, given: Omit<NodeArguments, 'redisUrl'> & { readonly program: string }) {
    this.link = link;
    this.#arguments = { ...given, redisUrl: `redis://127.0.0.1:${link.port}` };
  }

  /** Where it listens, or did last. */
  get url(): string {
    return this.#url;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  async start(): Promise<void> {
    const { program, ...given } = this.#arguments;
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
    const until = now() + readyTimeoutMs;
    while (now() < until) {
      const ready = await send(`${this.#url}/ready`).catch(() => undefined);
      if (ready?.status === 200) return;
      await pause(50);
    }
    throw new Error(`${this.#arguments.name} does not become ready.`);
  }

  /** Resolves when the process is gone; false if it had to be killed. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<boolean> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return true;
    const ended = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs);
    const [code] = (await ended) as [number | null];
    clearTimeout(late);
    return signal === 'SIGKILL' || code === 0;
  }

  async stall(ms: number): Promise<void> {
    this.#child?.kill('SIGSTOP');
    await pause(ms);
    this.#child?.kill('SIGCONT');
  }

  async muteHints(ms: number): Promise<void> {
    this.#sendOrder({ isMuted: true });
    await pause(ms);
    this.#sendOrder({ isMuted: false });
  }

  #sendOrder(order: NodeOrder): void {
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
        const [name, dataDir] = [nodeName(index), join(folder, nodeName(index))];
        await mkdir(dataDir);
        const ledger = join(folder, 'ledger.jsonl');
        const link = await FaultyLink.open(() => redis.port);
        return new FleetNode(link, { program, name, leaseMs, timeoutMs: redisTimeoutMs, ledger, dataDir });
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
  async inflict({ kind, node: index, ms }: Pick<Fault, 'kind' | 'node' | 'ms'>): Promise<void> {
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
      deaf: () => node.muteHints(ms),
      evict: () => this.redis.evict().catch(() => undefined),
      restart: () => this.redis.restart(ms),
      roll: () => this.rollingRestart(),
    };
    await happen[kind]();
  }

  /** A rolling restart: one node after the other, each ready again before the next. */
  async rollingRestart(): Promise<void> {
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
    if (!(await this.#node(index).end(signal))) this.stuck.push(nodeName(index));
  }

  #node(index: number): FleetNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`There is no node ${index}.`);
    return node;
  }
}
