import { chartNamed, expectEnd, type Row, type Script } from './walk.js';

const [lease, ownership, node] = ['lease', 'ownership', 'node'].map(chartNamed);

const closedBecause = (reason: string): object => ({ closedBecause: reason });

describe('the lease chart', () => {
  const auto = { isolation: 'auto', isResumed: false };
  const open: Script = ['placement.opened'];
  const at = (placement: object | string, process = 'shared') => ({ leased: { placement, process } });
  const again = at({ opening: 'again' });
  const closed = { type: 'xstate.done.actor.0.lease.releasing' };

  test.each<Row & { readonly input?: object }>([
    { given: 'the first call', events: [], state: at({ opening: 'first' }) },
    { given: 'the first call of a restored session', input: { ...auto, isResumed: true }, events: [], state: again },
    { given: 'its start', events: open, state: at('open') },
    { given: 'a failure', events: ['placement.failed'], state: at('idle') },
    {
      given: 'a call after a failure',
      events: ['placement.failed', 'browser.wanted'],
      state: at({ opening: 'first' }),
    },
    { given: 'a crash', events: [...open, 'browser.lost'], state: at('lost'), context: { losses: 1 } },
    { given: 'a closed context', events: [...open, 'context.closed'], state: at('lost'), context: { losses: 0 } },
    { given: 'a call after a crash', events: [...open, 'browser.lost', 'browser.wanted'], state: again },
    {
      given: 'a replacement that fails',
      events: [...open, 'browser.lost', 'browser.wanted', 'placement.failed'],
      state: at('lost'),
    },
    { given: 'a browser that hangs', events: [...open, 'browser.hung'], state: at('idle') },
    { given: 'a tool that needs a process', events: [...open, 'move.wanted'], state: at('open', 'moving') },
    { given: 'the move', events: [...open, 'move.wanted', 'move.completed'], state: at('open', 'settled') },
    {
      given: 'a crash during the move',
      events: [...open, 'move.wanted', 'browser.lost', 'move.failed'],
      state: at('lost'),
    },
    {
      given: 'a session that cannot move',
      input: { ...auto, isolation: 'context' },
      events: [...open, 'move.wanted'],
      state: at('open', 'settled'),
    },
    { given: 'the end of the session', events: [...open, 'session.ended'], state: 'releasing' },
    { given: 'a browser that opens late', events: ['session.ended', 'placement.opened'], state: 'releasing' },
    { given: 'its release', events: [...open, 'session.ended', closed], state: 'released' },
  ])('after $given is in $state', ({ events, state, context, input = auto }) =>
    expectEnd(lease, input, events, state, context),
  );
});

describe('the ownership chart', () => {
  const granted = { type: 'term.granted', term: { sessionId: 's', epoch: 1 } };
  const ended = (because: string) => ({ type: 'session.ended', because });
  const recorded = (output: string) => ({ type: 'xstate.done.actor.0.ownership.closing.recording', output });
  const unreachable = { type: 'xstate.error.actor.0.ownership.closing.recording', error: new Error('away') };
  const stored: Script = [granted, 'snapshot.saved'];
  const closed: Script = [granted, ended('client-closed')];
  const restored: Script = [granted, 'session.restored'];

  test.each<Row & { readonly by?: 'takeover' }>([
    { given: 'a claim', events: [granted], state: { owned: 'claimed' }, context: { term: granted.term } },
    { given: 'a refused claim', events: ['term.refused'], state: 'released' },
    { given: 'a snapshot', events: stored, state: { owned: 'stored' } },
    { given: 'a write that is fenced off', events: [...stored, 'write.fenced'], state: { fenced: 'releasing' } },
    { given: 'the end of a fenced session', events: [granted, 'write.fenced', ended('node-lost')], state: 'released' },
    { given: 'the end of a session', events: closed, state: { closing: 'recording' } },
    { given: 'its record', events: [...closed, recorded('closed')], state: 'closed' },
    { given: 'a record that is fenced off', events: [...closed, recorded('fenced')], state: 'released' },
    { given: 'a store that is away', events: [...closed, unreachable], state: { closing: 'pending' } },
    {
      given: 'a store that answers again',
      events: [...closed, unreachable, 'lease.renewed'],
      state: { closing: 'recording' },
      context: closedBecause('client-closed'),
    },
    { given: 'a stop without a snapshot', events: [granted, 'handoff.begun'], state: { owned: 'claimed' } },
    { given: 'a stop with a snapshot', events: [...stored, 'handoff.begun'], state: { owned: 'handed-off' } },
    { given: 'a handoff', events: [...stored, 'handoff.begun', ended('server-draining')], state: 'released' },
    {
      given: 'a client that leaves during the handoff',
      events: [...stored, 'handoff.begun', ended('client-closed')],
      state: { closing: 'recording' },
    },
    { given: 'a takeover', by: 'takeover', events: [granted], state: { owned: 'restoring' } },
    { given: 'its session', by: 'takeover', events: restored, state: { owned: 'restored' } },
    {
      given: 'its completion',
      by: 'takeover',
      events: [...restored, 'takeover.completed'],
      state: { owned: 'stored' },
    },
    { given: 'a takeover that fails', by: 'takeover', events: [granted, 'takeover.failed'], state: 'released' },
    {
      given: 'another takeover during this one',
      by: 'takeover',
      events: [granted, 'write.fenced'],
      state: { fenced: 'restoring' },
    },
  ])('after $given is in $state', ({ events, state, context, by = 'claim' }) =>
    expectEnd(ownership, { sessionId: 's', by }, events, state, context),
  );
});

describe('the node chart', () => {
  const opened = { type: 'xstate.done.actor.0.node.joining.opening' };
  const refused = { type: 'xstate.error.actor.0.node.joining.opening', error: new Error('version') };
  const subscribed = { type: 'xstate.done.actor.0.node.joining.subscribing' };
  const away = { type: 'xstate.error.actor.0.node.joining.subscribing', error: new Error('away') };
  const again = { type: 'xstate.after.subscribeRetry.node.joining.retrying' };
  const renewed = { type: 'lease.renewed', until: 900 };
  const ready: Script = [opened, subscribed, renewed];

  test.each<Row>([
    { given: 'its start', events: [], state: { joining: 'opening' } },
    { given: 'a store that refuses it', events: [refused], state: { joining: 'failed' } },
    { given: 'a store that goes away', events: [opened, away], state: { joining: 'retrying' } },
    { given: 'a second try', events: [opened, away, again], state: { joining: 'subscribing' } },
    { given: 'its subscription', events: [opened, subscribed], state: { joining: 'leasing' } },
    { given: 'its first lease', events: ready, state: 'ready', context: { leaseUntil: 900 } },
    { given: 'no lease at all', events: [opened, subscribed, 'lease.expired'], state: 'lease-lost' },
    { given: 'a lease that is over', events: [...ready, 'lease.expired'], state: 'lease-lost' },
    { given: 'another one', events: [...ready, 'lease.expired', renewed], state: 'ready' },
    { given: 'a drain', events: [...ready, 'node.drain'], state: { draining: 'leased' } },
    { given: 'a drain before it has joined', events: [opened, 'node.drain'], state: { draining: 'unleased' } },
    {
      given: 'a lease that ends meanwhile',
      events: [...ready, 'node.drain', 'lease.expired'],
      state: { draining: 'unleased' },
    },
    { given: 'the end of its sessions', events: [...ready, 'node.drain', 'node.leave'], state: 'leaving' },
    { given: 'its end', events: [...ready, 'node.drain', 'node.leave', 'node.left'], state: 'left' },
  ])('after $given is in $state', ({ events, state, context }) => expectEnd(node, {}, events, state, context));
});
