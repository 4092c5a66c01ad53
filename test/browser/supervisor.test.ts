import type { BrowserConnection, BrowserObserver, Connect } from '../../src/browser/process/browserConnection.js';
import { Refusal } from '../../src/errors/errors.js';
import { createSupervisor, supervisorDefaults } from '../../src/browser/supervisor.js';

/** A browser of the test's own: opens, fails and dies when the test says so. */
interface Attempt {
  readonly signal: AbortSignal;
  open(): FakeConnection;
  fail(error: unknown): void;
}

interface FakeConnection extends BrowserConnection {
  die(): void;
  /** So many questions from now on get no answer. */
  hang(questions: number): void;
  /** Resolves when it has been asked so often from now on. */
  asked(times: number): Promise<void>;
  readonly closed: () => number;
}

function fakeEndpoint() {
  const attempts: Attempt[] = [];
  const waiting: ((attempt: Attempt) => void)[] = [];
  const connect: Connect = (signal) =>
    new Promise((resolve, reject) => {
      const attempt: Attempt = {
        signal,
        open: () => {
          const connection = fakeConnection();
          resolve(connection);
          return connection;
        },
        fail: reject,
      };
      attempts.push(attempt);
      waiting.shift()?.(attempt);
    });
  return {
    attempts,
    connect,
    /** The next try that has not begun yet. */
    next: () => new Promise<Attempt>((resolve) => waiting.push(resolve)),
  };
}

function fakeConnection(): FakeConnection {
  let die = (): void => undefined;
  const disconnected = new Promise<void>((resolve) => (die = resolve));
  let closed = 0;
  let hanging = 0;
  let onAsked = (): void => undefined;
  return {
    // The actor hands the browser on and never touches it.
    browser: {} as BrowserConnection['browser'],
    mode: 'launch',
    product: 'Chrome/1',
    temporaryFolder: '',
    disconnected,
    die: () => die(),
    hang: (questions) => (hanging = questions),
    asked: (times) => new Promise((resolve) => (onAsked = () => (times -= 1) === 0 && resolve())),
    ping: () => {
      onAsked();
      hanging -= 1;
      return hanging >= 0 ? new Promise(() => undefined) : Promise.resolve();
    },
    closed: () => closed,
    close: async () => {
      closed += 1;
    },
  };
}

function observer() {
  const events: string[] = [];
  const told: BrowserObserver = {
    lost: () => events.push('lost'),
    ready: () => events.push('ready'),
    failed: (failure) => events.push(`failed ${failure.reason}: ${failure.message}`),
  };
  return { events, ...told };
}

function supervise(overrides: Partial<typeof supervisorDefaults> = {}) {
  const endpoint = fakeEndpoint();
  const recorder = observer();
  const start = createSupervisor({ ...supervisorDefaults, backoffMs: 1, maxAttempts: 2, ...overrides });
  const browser = start({ id: 'b1', mode: 'launch', connect: endpoint.connect, observer: recorder });
  const first = endpoint.attempts[0];
  if (first === undefined) throw new Error('It does not connect when it starts.');
  return { far: endpoint, told: recorder, browser, first };
}

describe('a supervised browser', () => {
  it('is tried at once and gives its connection to everyone who waits', async () => {
    const { browser, first, told } = supervise();
    expect(browser.state).toBe('connecting');
    const [one, two] = [browser.connection(), browser.connection()];
    const connection = first.open();
    expect(await one).toBe(connection);
    expect(await two).toBe(connection);
    expect(browser.state).toBe('ready');
    await browser.close();
    expect(connection.closed()).toBe(1);
    expect(told.events).toEqual(['ready']);
  });

  it('that never was ready fails with its cause, and is tried again for the next one who wants it', async () => {
    const { browser, first, far, told } = supervise();
    const wanted = browser.connection();
    first.fail(new Refusal('browser_unreachable', { detail: 'nobody there' }));
    await expect(wanted).rejects.toMatchObject({ reason: 'browser_unreachable', message: 'nobody there' });
    expect(told.events).toEqual(['failed browser_unreachable: nobody there']);
    const again = browser.connection();
    const connection = far.attempts[1]?.open();
    expect(await again).toBe(connection);
    await browser.close();
  });

  it('that dies is closed, told as lost, and opened again', async () => {
    const { browser, first, far, told } = supervise();
    const connection = first.open();
    await browser.connection();
    const next = far.next();
    connection.die();
    const second = await next;
    expect(connection.closed()).toBe(1);
    const replacement = second.open();
    expect(await browser.connection()).toBe(replacement);
    expect(told.events).toEqual(['ready', 'lost', 'ready']);
    await browser.close();
    expect(replacement.closed()).toBe(1);
    expect(connection.closed()).toBe(1);
  });

  it('that hangs counts as lost after two questions without an answer, is ended and replaced', async () => {
    const { browser, first, far, told } = supervise({ heartbeatMs: 1, heartbeatTimeoutMs: 1 });
    const connection = first.open();
    await browser.connection();
    const next = far.next();
    connection.hang(2);
    const replacement = (await next).open();
    expect(connection.closed()).toBe(1);
    expect(await browser.connection()).toBe(replacement);
    expect(told.events).toEqual(['ready', 'lost', 'ready']);
    await browser.close();
  });

  it('that misses one question and answers the next stays', async () => {
    const { browser, first, far, told } = supervise({ heartbeatMs: 1, heartbeatTimeoutMs: 1 });
    const connection = first.open();
    await browser.connection();
    for (let round = 0; round < 3; round += 1) {
      connection.hang(1);
      await connection.asked(3);
    }
    expect(browser.state).toBe('ready');
    expect(told.events).toEqual(['ready']);
    expect(far.attempts).toHaveLength(1);
    await browser.close();
  });

  it('that cannot be had again fails after the allowed tries', async () => {
    const { browser, first, far, told } = supervise();
    const connection = first.open();
    await browser.connection();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const next = far.next();
      if (attempt === 0) connection.die();
      (await next).fail(new Refusal('browser_failed', { detail: 'no' }));
    }
    await expect(browser.connection()).rejects.toThrow('no');
    expect(told.events.at(-1)).toBe('failed browser_failed: no');
    expect(far.attempts).toHaveLength(3);
    await browser.close();
  });

  it('that opens after it was closed is closed, and close waits for that', async () => {
    const { browser, first } = supervise();
    const wanted = browser.connection();
    const closing = browser.close();
    await expect(wanted).rejects.toThrow('has been closed');
    expect(first.signal.aborted).toBe(true);
    const late = first.open();
    await closing;
    expect(late.closed()).toBe(1);
    await browser.close();
    await expect(browser.connection()).rejects.toThrow('has been closed');
  });

  it('that does not answer in time fails, and what it opens late is closed', async () => {
    const { browser, first } = supervise({ connectTimeoutMs: 1 });
    await expect(browser.connection()).rejects.toThrow('did not answer in time');
    const late = first.open();
    await browser.close();
    expect(late.closed()).toBe(1);
  });

  it('lets one who waits give up without ending the try', async () => {
    const { browser, first } = supervise();
    const giveUp = new AbortController();
    const wanted = browser.connection(giveUp.signal);
    giveUp.abort(new Error('cancelled'));
    await expect(wanted).rejects.toThrow('cancelled');
    const connection = first.open();
    expect(await browser.connection()).toBe(connection);
    await browser.close();
  });

  it('shows its state changes to the inspector', async () => {
    const seen: unknown[] = [];
    const { browser, first } = supervise({
      inspect: (event) => {
        if (event.type === '@xstate.snapshot' && 'value' in event.snapshot) seen.push(event.snapshot.value);
      },
    });
    first.open();
    await browser.connection();
    await browser.close();
    expect(seen).toEqual(expect.arrayContaining([{ open: 'connecting' }, { open: 'ready' }, 'closed']));
  });
});
