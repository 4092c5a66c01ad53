import { h, type ComponentChild } from 'preact';
import type { EndedSession, Overview } from '../wire.js';
import { formatAge, formatDuration, describeCloseReason, plural, formatTime } from './format.js';
import { serverNow, type Model, type UserUse } from './model.js';
import { quantile, statesOverTime, timeToAnnounce } from './plots.js';
import { otherCharts } from './sessionView.js';

/** The server as a whole. */
export function overviewView(model: Model): ComponentChild {
  const { overview } = model;
  if (overview === null) return h('p', { class: 'blank' }, 'Connecting to the server.');
  const { samples, announceMs, endings, failures } = overview;
  return h(
    'article',
    { class: 'overview', 'aria-label': 'Overview' },
    h('h2', { class: 'unseen' }, 'Overview'),
    tiles(model, overview),
    h('div', { class: 'plots' }, statesOverTime(samples, serverNow(model)), timeToAnnounce(announceMs)),
    h('div', { class: 'plots' }, endingsView(endings), failuresView(failures)),
    h('div', { class: 'plots' }, usersView(model.users)),
    otherCharts(model),
  );
}

function tiles(model: Model, { samples, announceMs, calls, failures, health }: Overview): ComponentChild {
  const states = samples.at(-1)?.states ?? {};
  const open = Object.values(states).reduce((sum, count) => sum + count, 0);
  const figures: (readonly [string, string])[] = [
    ['open sessions', open.toLocaleString('en')],
    ['active', (states['active'] ?? 0).toLocaleString('en')],
    ['to announce, p50', announceMs.length === 0 ? '–' : formatDuration(quantile(announceMs, 0.5))],
    ['to announce, p95', announceMs.length === 0 ? '–' : formatDuration(quantile(announceMs, 0.95))],
    ['calls a minute', calls.perMinute === 0 ? '0' : calls.perMinute.toPrecision(2)],
    ['call, p95', calls.durationsMs.length === 0 ? '–' : formatDuration(quantile(calls.durationsMs, 0.95))],
    ['last failures', String(failures.length)],
    ['browsers ready', textAt(health, 'browsers', 'ready')],
    ['waiting for a browser', textAt(health, 'browsers', 'queued')],
    ['memory of browsers', formatBytes(textAt(health, 'browsers', 'memoryBytes'))],
    ['warm sessions', textAt(health, 'sessions', 'warm')],
    ['failure alert', textAt(health, 'alerts', 'creationFailureRate')],
    ['up for', model.startedAt === null ? '–' : firstUnit(formatAge(serverNow(model) - model.startedAt))],
  ];
  const shown = figures.filter(([, value]) => value !== '');
  return h(
    'dl',
    { class: 'tiles' },
    shown.map(([name, value]) =>
      h('div', { key: name, class: tones[value] }, h('dt', null, name), h('dd', null, value)),
    ),
  );
}

const formatBytes = (bytes: string): string =>
  bytes === '' ? '' : `${Math.round(Number(bytes) / 1e6).toLocaleString('en')} MB`;

/** The tone of a tile, by the state of the alert. */
const tones: Readonly<Record<string, string>> = { firing: 'bad', pending: 'warned' };

/** The first unit of an age. */
function firstUnit(age: string): string {
  return age.split(' ').slice(0, 2).join(' ');
}

/** A value of the health document; empty if it is missing. */
function textAt(health: unknown, ...path: readonly string[]): string {
  let value = health;
  for (const key of path) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function endingsView(endings: Overview['endings']): ComponentChild {
  const sorted = Object.entries(endings).toSorted(([, one], [, other]) => other - one);
  const max = Math.max(1, ...sorted.map(([, count]) => count));
  return h(
    'figure',
    { class: 'plot' },
    h('figcaption', null, h('h3', null, 'Why sessions ended')),
    sorted.length === 0
      ? h('p', { class: 'quiet' }, 'None has ended yet.')
      : h(
          'ul',
          { class: 'bars' },
          sorted.map(([because, count]) =>
            h(
              'li',
              { key: because },
              h('span', null, describeCloseReason(because)),
              h('meter', { value: count, max: max, 'aria-label': describeCloseReason(because) }),
              h('b', null, count.toLocaleString('en')),
            ),
          ),
        ),
  );
}

function failuresView(failures: readonly EndedSession[]): ComponentChild {
  return h(
    'figure',
    { class: 'plot' },
    h(
      'figcaption',
      null,
      h('h3', null, 'Last failures'),
      failures.length > 0 && h('span', { class: 'legend' }, plural(failures.length, 'session')),
    ),
    failures.length === 0
      ? h('p', { class: 'quiet' }, 'No session has failed.')
      : h(
          'ol',
          { class: 'failures', tabIndex: 0, 'aria-label': 'Last failures' },
          failures.map(({ id, user, at, because, failure }) =>
            h(
              'li',
              { key: id },
              h('time', { dateTime: new Date(at).toISOString() }, formatTime(at)),
              h('a', { href: `#/session/${id}` }, id),
              h('span', null, user),
              h('p', null, failure ?? describeCloseReason(because)),
            ),
          ),
        ),
  );
}

/** Most sessions first. */
function usersView(users: readonly UserUse[]): ComponentChild {
  const sorted = users.toSorted((one, other) => other.sessions - one.sessions);
  return h(
    'figure',
    { class: 'plot' },
    h('figcaption', null, h('h3', null, 'What users use, of their quotas')),
    sorted.length === 0
      ? h('p', { class: 'quiet' }, 'No user has a session.')
      : h(
          'ol',
          { class: 'failures', tabIndex: 0, 'aria-label': 'What users use' },
          sorted.map((use) =>
            h(
              'li',
              { key: `${use.user} ${use.node ?? ''}`, class: 'use' },
              h('b', null, use.user),
              h('span', null, use.node ?? ''),
              h('span', null, plural(use.sessions, 'session')),
              h('p', null, amountsOf(use).join(' · ')),
            ),
          ),
        ),
  );
}

function amountsOf({ quotas, ...use }: UserUse): string[] {
  const amounts: readonly (readonly [
    label: string,
    quota: string,
    used: number,
    format: (amount: number) => string,
  ])[] = [
    ['processes', 'processes', use.processes, String],
    ['browser time today', 'browser-time', use.browserMs, formatAge],
    ['memory', 'memory', use.memoryBytes, (bytes) => formatBytes(String(bytes))],
    ['downloads', 'downloads', use.downloadBytes, (bytes) => formatBytes(String(bytes))],
    ['disk', 'disk', use.diskBytes, (bytes) => formatBytes(String(bytes))],
  ];
  return amounts.map(([label, quota, used, format]) => {
    const limit = quotas[quota];
    return `${label} ${format(used)}${limit === undefined ? '' : ` of ${format(limit)}`}`;
  });
}
