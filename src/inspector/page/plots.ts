import { h, type ComponentChild } from 'preact';
import type { Sample } from '../wire.js';
import { formatAge, formatDuration } from './format.js';
import { stateNames } from './sessionsView.js';

const size = { width: 640, height: 180 };
const openStates = stateNames.filter((state) => state !== 'closed');

/** Open sessions by state over time, stacked. */
export function statesOverTime(samples: readonly Sample[], now: number): ComponentChild {
  const first = samples[0]?.at ?? now;
  const span = Math.max(60_000, now - first);
  const totals = samples.map(({ states }) => openStates.reduce((sum, state) => sum + (states[state] ?? 0), 0));
  const max = Math.max(4, ...totals);
  const x = (at: number): number => size.width - ((now - at) / span) * size.width;
  const y = (count: number): number => size.height - (count / max) * (size.height - 8);
  const below = samples.map(() => 0);
  const areas = openStates.map((state) => {
    const top: string[] = [];
    const bottom: string[] = [];
    samples.forEach(({ at, states }, index) => {
      const low = below[index] ?? 0;
      const high = low + (states[state] ?? 0);
      below[index] = high;
      const until = samples[index + 1]?.at ?? now;
      top.push(`${x(at)} ${y(high)}`, `${x(until)} ${y(high)}`);
      bottom.push(`${x(at)} ${y(low)}`, `${x(until)} ${y(low)}`);
    });
    return h('path', {
      class: `area ${state}`,
      d: top.length === 0 ? '' : `M${[...top, ...bottom.toReversed()].join('L')}Z`,
    });
  });
  return h(
    'figure',
    { class: 'plot' },
    h('figcaption', null, h('h3', null, 'Open sessions by state'), legend()),
    h(
      'svg',
      {
        viewBox: `0 0 ${size.width} ${size.height}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `Open sessions over the last ${formatAge(span)}, at most ${Math.max(0, ...totals)}`,
      },
      h('path', {
        class: 'grid',
        d: `M0 ${y(max)}H${size.width}M0 ${y(max / 2)}H${size.width}M0 ${y(0)}H${size.width}`,
      }),
      areas,
    ),
    h(
      'p',
      { class: 'axis' },
      h('span', null, `${formatAge(span)} ago`),
      h('span', null, `scale: ${max}`),
      h('span', null, 'now'),
    ),
  );
}

function legend(): ComponentChild {
  return h(
    'span',
    { class: 'legend' },
    openStates.map((state) => h('span', { key: state, class: `swatch ${state}` }, state)),
  );
}

/** Time from creation to announcement of the last sessions: one bar each, oldest first. */
export function timeToAnnounce(times: readonly number[]): ComponentChild {
  const max = Math.max(1, ...times);
  const step = size.width / Math.max(50, times.length);
  return h(
    'figure',
    { class: 'plot' },
    h(
      'figcaption',
      null,
      h('h3', null, 'Time to announce'),
      h('span', { class: 'legend' }, times.length === 0 ? 'none yet' : `the last ${times.length}`),
    ),
    h(
      'svg',
      {
        viewBox: `0 0 ${size.width} ${size.height}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `Time to announce, median ${formatDuration(quantile(times, 0.5))}`,
      },
      h('path', { class: 'grid', d: `M0 8H${size.width}M0 ${size.height}H${size.width}` }),
      times.map((ms, index) => {
        const height = Math.max(1.5, (ms / max) * (size.height - 8));
        return h('rect', {
          class: 'bar',
          x: index * step,
          y: size.height - height,
          width: Math.max(1, step - 1),
          height,
        });
      }),
    ),
    h(
      'p',
      { class: 'axis' },
      h('span', null, 'older'),
      times.length > 0 && h('span', null, `scale: ${formatDuration(max)}`),
      h('span', null, 'newer'),
    ),
  );
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
