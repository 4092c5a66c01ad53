import { chartNamed, expectEnd, type Row, type Script } from './walk.js';

const [session, browser, server] = ['session', 'browser', 'server'].map(chartNamed);

const registered = { type: 'xstate.done.actor.0.session.created.tools.registering' };
const setupRefused = {
  type: 'xstate.error.actor.0.session.created.tools.registering',
  error: Object.assign(new Error('No such group.'), { reason: 'internal' }),
};
const claimed = { type: 'xstate.done.actor.0.session.tools-registered.claiming' };
const claimRefused = { type: 'xstate.error.actor.0.session.tools-registered.claiming', error: new Error('taken') };
const initialize = { type: 'message.received', kind: 'initialize' };
const request = { type: 'message.received', kind: 'request' };
const notification = { type: 'message.received', kind: 'notification' };
const clientLeft = { type: 'transport.detached', because: 'client-closed' };
const failed = { type: 'browser.failed', failure: { reason: 'browser_failed', message: 'gone' } };
const connected: Script = ['transport.attached', 'browser.leased', registered, claimed];
const warm: Script = ['browser.leased', registered];
const clientAssigned = { type: 'transport.attached', client: { issuer: 'local', user: 'bob', resumable: true } };
const answered = { type: 'xstate.done.actor.0.session.tools-registered.checking' };
const silent = { type: 'xstate.error.actor.0.session.tools-registered.checking', error: new Error('silent') };
const serving: Script = [...connected, initialize];

const eager = { id: 'a', issuer: 'local', user: 'alice', lease: 'eager', resumable: false, queueLimit: 0 };
const closedBecause = (reason: string): object => ({ closedBecause: reason });

describe('the session chart', () => {
  test.each<Row>([
    {
      given: 'a new session',
      events: [],
      state: { created: { browser: 'leasing', tools: 'registering' } },
      context: { browser: 'leasing', attached: false, inFlight: 0 },
    },
    {
      given: 'a browser but no tools',
      events: ['browser.leased'],
      state: { created: { browser: 'ready', tools: 'registering' } },
    },
    {
      given: 'tools but no browser',
      events: [registered, 'transport.attached'],
      state: { created: { browser: 'leasing', tools: 'registered' } },
    },
    {
      given: 'both, and no client yet',
      events: ['browser.leased', registered],
      state: { 'tools-registered': 'waiting' },
    },
    {
      given: 'a client that came first',
      events: ['transport.attached', registered, 'browser.leased'],
      state: { 'tools-registered': 'claiming' },
    },
    {
      given: 'a second attachment while the claim runs',
      events: ['browser.leased', 'transport.attached', registered, 'transport.attached'],
      state: { 'tools-registered': 'claiming' },
    },
    {
      given: 'a message before the claim',
      events: ['browser.leased', 'transport.attached', registered, request],
      state: { 'tools-registered': 'claiming' },
      context: { inFlight: 0 },
    },
    { given: 'a claim', events: connected, state: 'connected', context: { inFlight: 0 } },
    {
      given: 'initialize',
      events: serving,
      state: { active: { serving: 'busy' } },
      context: { inFlight: 1, handshake: 'begun' },
    },
    {
      given: 'a notification before initialize',
      events: [...connected, notification],
      state: 'connected',
      context: { inFlight: 0, handshake: 'awaited' },
    },
    {
      given: 'a request before initialize',
      events: [...connected, request],
      state: 'connected',
      context: { inFlight: 1 },
    },
    {
      given: 'its refusal',
      events: [...connected, request, 'request.settled'],
      state: 'connected',
      context: { inFlight: 0 },
    },
    {
      given: 'a request before initialize, and then that',
      events: [...connected, request, 'request.settled', initialize],
      state: { active: { serving: 'busy' } },
      context: { inFlight: 1 },
    },
    {
      given: 'a second initialize',
      events: [...serving, 'request.settled', initialize],
      state: { active: { serving: 'busy' } },
      context: { inFlight: 1 },
    },
    { given: 'its answer', events: [...serving, 'request.settled'], state: { active: { serving: 'idle' } } },
    {
      given: 'one answer of two',
      events: [...serving, request, 'request.settled'],
      state: { active: { serving: 'busy' } },
      context: { inFlight: 1 },
    },
    {
      given: 'a browser that died while serving',
      events: [...serving, 'browser.lost'],
      state: { active: { serving: 'busy' } },
      context: { browser: 'lost' },
    },
    {
      given: 'a drain with a request in flight',
      events: [...serving, 'session.drain'],
      state: { active: 'draining' },
      context: { inFlight: 1 },
    },
    {
      given: 'a new request while draining',
      events: [...serving, 'session.drain', request],
      state: { active: 'draining' },
      context: { inFlight: 1 },
    },
    { given: 'a refused setup', events: [setupRefused], state: 'closed', context: closedBecause('setup-failed') },
    { given: 'no browser', events: [failed], state: 'closed', context: closedBecause('browser-failed') },
    {
      given: 'a client that left early',
      events: ['transport.attached', clientLeft],
      state: 'closed',
      context: closedBecause('client-closed'),
    },
    {
      given: 'a refused claim',
      events: ['browser.leased', 'transport.attached', registered, claimRefused],
      state: 'closed',
      context: { closedBecause: 'claim-refused', failure: { reason: 'setup_failed', message: 'taken' } },
    },
    {
      given: 'a client that left',
      events: [...serving, clientLeft],
      state: 'closed',
      context: closedBecause('client-closed'),
    },
    {
      given: 'a browser that cannot be had again',
      events: [...serving, failed],
      state: 'closed',
      context: { closedBecause: 'browser-lost', failure: failed.failure },
    },
    {
      given: 'the last answer of a drain',
      events: [...serving, 'session.drain', 'request.settled'],
      state: 'closed',
      context: closedBecause('server-draining'),
    },
    {
      given: 'an operator who closes it',
      events: [...serving, { type: 'session.close', because: 'operator-closed' }],
      state: 'closed',
      context: closedBecause('operator-closed'),
    },
  ])('after $given is in $state', ({ events, state, context }) => expectEnd(session, eager, events, state, context));

  const patient = { ...eager, queueLimit: 2 };

  test('holds early messages up to the limit, and delivers them once the client is told', () => {
    const early: Script = ['transport.attached', initialize, notification, request];
    expectEnd(
      session,
      patient,
      early,
      { created: { browser: 'leasing', tools: 'registering' } },
      { held: 2, inFlight: 1 },
    );
    const told: Script = [...early, registered, 'browser.leased', claimed];
    expectEnd(session, patient, told, { active: { serving: 'busy' } }, { held: 0, inFlight: 1 });
    const uninitialized: Script = ['transport.attached', request, notification, registered, 'browser.leased', claimed];
    expectEnd(session, patient, uninitialized, 'connected', { held: 0, inFlight: 1 });
  });

  const nobodys = { ...eager, issuer: null, user: null };

  test('a warm session waits, is asked for a sign of life when its client comes, and is claimed for that client', () => {
    expectEnd(session, nobodys, warm, { 'tools-registered': 'waiting' }, { user: null, attached: false });
    const asked: Script = [...warm, clientAssigned];
    expectEnd(session, nobodys, asked, { 'tools-registered': 'checking' }, { user: 'bob', resumable: true });
    expectEnd(session, nobodys, [...asked, answered], { 'tools-registered': 'claiming' });
    expectEnd(session, nobodys, [...asked, answered, claimed], 'connected');
  });

  test('a warm session whose browser is silent gets another one before its client is told', () => {
    const asked: Script = [...warm, clientAssigned, silent];
    expectEnd(session, nobodys, asked, { 'tools-registered': 'leasing' }, { browser: 'lost' });
    expectEnd(session, nobodys, [...asked, 'browser.leased'], { 'tools-registered': 'claiming' });
  });

  const resumable = { ...eager, resumable: true, queueLimit: 0 };

  test('keeps a resumable session whose stream is lost, and serves it again', () => {
    expectEnd(session, resumable, [...serving, clientLeft], { active: 'detached' }, { attached: false, inFlight: 1 });
    expectEnd(session, resumable, [...serving, clientLeft, 'transport.attached'], { active: { serving: 'busy' } });
  });

  test('a lazy session is ready without a browser', () => {
    expectEnd(session, { ...eager, lease: 'lazy' }, [registered], { 'tools-registered': 'waiting' });
  });
});

describe('the browser chart', () => {
  const input = { id: 'b', mode: 'launch', maxAttempts: 2 };
  const opened = { type: 'connection.opened', version: 'Chrome/156' };
  const lost = { type: 'connection.lost', failure: { reason: 'browser_failed', message: 'killed' } };
  const refused = { type: 'connection.failed', failure: { reason: 'browser_unreachable', message: 'refused' } };
  const again = { type: 'xstate.after.backoff.browser.lost' };

  test.each<Row>([
    { given: 'its start', events: [], state: { open: 'connecting' }, context: { attempts: 1 } },
    { given: 'an answer', events: [opened], state: { open: 'ready' }, context: { attempts: 0, version: 'Chrome/156' } },
    { given: 'a failure before it ever was ready', events: [refused], state: 'failed', context: { wasReady: false } },
    { given: 'a crash', events: [opened, lost], state: 'lost', context: { failure: lost.failure } },
    { given: 'a pause after a crash', events: [opened, lost, again], state: { open: 'connecting' } },
    { given: 'a try that fails after a crash', events: [opened, lost, again, refused], state: 'lost' },
    {
      given: 'the last try that fails after a crash',
      events: [opened, lost, again, refused, again, refused],
      state: 'failed',
      context: { failure: refused.failure, attempts: 2 },
    },
    {
      given: 'a recovery',
      events: [opened, lost, again, opened],
      state: { open: 'ready' },
      context: { attempts: 0, failure: null },
    },
    { given: 'a new wish after a failure', events: [refused, 'browser.wanted'], state: { open: 'connecting' } },
    { given: 'the close of a ready browser', events: [opened, 'browser.close'], state: 'closed' },
    { given: 'the close of a lost browser', events: [opened, lost, 'browser.close'], state: 'closed' },
  ])('after $given is in $state', ({ events, state, context }) => expectEnd(browser, input, events, state, context));
});

describe('the server chart', () => {
  const opened = { type: 'listener.opened', port: 4000 };
  const failure = { reason: 'listen_failed', message: 'in use' };
  const listenerFailed = { type: 'listener.failed', failure };
  const sessionsGone = { type: 'xstate.done.actor.0.server.draining.sessions' };
  const browsersGone = { type: 'xstate.done.actor.0.server.draining.browsers' };

  test.each<Row>([
    { given: 'its start', events: [], state: 'starting' },
    { given: 'an open port', events: [opened], state: 'listening', context: { port: 4000 } },
    { given: 'a port in use', events: [listenerFailed], state: { draining: 'sessions' }, context: { failure } },
    { given: 'a drain', events: [opened, 'server.drain'], state: { draining: 'sessions' } },
    { given: 'a drain before it listens', events: ['server.drain', opened], state: { draining: 'sessions' } },
    {
      given: 'a listener that fails while browsers are closed',
      events: [opened, 'server.drain', sessionsGone, listenerFailed],
      state: { draining: 'browsers' },
      context: { failure },
    },
    { given: 'the last session', events: [opened, 'server.drain', sessionsGone], state: { draining: 'browsers' } },
    { given: 'the last browser', events: [opened, 'server.drain', sessionsGone, browsersGone], state: 'stopped' },
  ])('after $given is in $state', ({ events, state, context }) => expectEnd(server, {}, events, state, context));
});
