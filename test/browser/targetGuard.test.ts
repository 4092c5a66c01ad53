import { EventEmitter } from 'node:events';
import type { Browser, BrowserContext, CDPSession, Connection } from 'puppeteer-core';
import type { AddressPolicy } from '../../src/browser/policy/addressPolicy.js';
import { TargetGuard } from '../../src/browser/policy/targetGuard.js';

/** A CDP session that answers every command, and keeps what it was asked to intercept. */
class FakeSession extends EventEmitter {
  readonly intercepted: unknown[] = [];

  send(method: string, params?: { readonly patterns: readonly { readonly urlPattern: string }[] }): Promise<object> {
    if (method === 'Fetch.enable') this.intercepted.push(params?.patterns[0]?.urlPattern);
    return Promise.resolve({ targetInfo: { targetId: 'browser', type: 'browser', url: '' } });
  }

  detach(): Promise<void> {
    return Promise.resolve();
  }

  connection(): Connection {
    return connection as unknown as Connection;
  }
}

class FakeConnection extends FakeSession {
  createSession(): Promise<FakeSession> {
    return Promise.resolve(new FakeSession());
  }

  /** As puppeteer tells that a target of `parent` was attached to. */
  attach(parent: EventEmitter): FakeSession {
    const session = new FakeSession();
    if (parent !== this) this.emit('sessionattached', session);
    parent.emit('sessionattached', session);
    return session;
  }

  end(...[session, parent]: FakeSession[]): Promise<void> {
    for (const hearer of [this, parent]) hearer?.emit('sessiondetached', session);
    return Promise.resolve();
  }
}

let connection: FakeConnection;

test('a session is watched until it ends itself, and not longer', async () => {
  connection = new FakeConnection();
  const target = { type: () => 'browser', createCDPSession: () => connection.createSession() };
  const browser = { targets: () => [target], target: () => target } as unknown as Browser;
  const guard = await TargetGuard.of(browser);
  const policy = { checksRequests: false } as { checksRequests: boolean; onRules?: () => Promise<unknown> };
  await guard.enter({
    context: { id: 'a', pages: () => Promise.resolve([]) } as unknown as BrowserContext,
    policy: policy as unknown as AddressPolicy,
    onRefused: () => undefined,
    onBlocked: () => undefined,
  });

  const tab = connection.attach(connection);
  const [page, closed] = [connection.attach(tab), connection.attach(tab)];
  const [frame, worker] = [connection.attach(page), connection.attach(page)];
  await connection.end(worker, page);
  await connection.end(closed, tab);
  const watched = (): CDPSession[] =>
    [page, frame, worker, closed].filter(({ intercepted }) => intercepted.includes('*')) as unknown as CDPSession[];
  expect(watched()).toEqual([]);

  policy.checksRequests = true;
  await policy.onRules?.();
  expect(watched()).toEqual([page, frame]);
});
