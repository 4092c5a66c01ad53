import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

interface SocketPair {
  /** Towards the node. */
  readonly near: Socket;
  /** Towards Redis. */
  readonly far: Socket;
}

/** The way of one node to Redis, on which faults can be made. Whoever opens it closes it. */
export class FaultyLink {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<SocketPair>();
  #isCut = false;
  #delayMs = 0;
  /** While what is on the way stands still. */
  #held: Promise<void> | undefined;

  private constructor(server: Server, to: () => number) {
    this.#server = server.on('connection', (near) => this.#join(near, to()));
    this.port = (server.address() as AddressInfo).port;
  }

  /** `to`: the port of Redis. */
  static async open(to: () => number): Promise<FaultyLink> {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultyLink(server, to);
  }

  /** Every connection breaks, and none can be opened. */
  async cut(ms: number): Promise<void> {
    this.#isCut = true;
    this.#breakAll();
    await pause(ms);
    this.#isCut = false;
  }

  async delay(ms: number, delayMs: number): Promise<void> {
    this.#delayMs = delayMs;
    await pause(ms);
    this.#delayMs = 0;
  }

  /** Nothing moves for a while; then all of it arrives. */
  async hold(ms: number): Promise<void> {
    const { promise, resolve } = deferred();
    this.#held = promise;
    await pause(ms);
    this.#held = undefined;
    resolve();
  }

  /** To the node it seems as if Redis had ended each connection; what the node still says arrives. */
  halfClose(): void {
    for (const { near } of this.#pairs) near.end();
  }

  async close(): Promise<void> {
    this.#isCut = true;
    this.#server.close();
    this.#breakAll();
    await once(this.#server, 'close');
  }

  #breakAll(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  #join(near: Socket, port: number): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const pair = { near: near.setNoDelay(true), far };
    this.#pairs.add(pair);
    const gone = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', gone).on('close', gone);
    void this.#carry(near, far).catch(gone);
    void this.#carry(far, near).catch(gone);
  }

  async #carry(from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from) {
      if (this.#delayMs > 0) await pause(this.#delayMs);
      while (this.#held !== undefined) await this.#held;
      if (to.writable) to.write(chunk as Buffer);
    }
    to.end();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
