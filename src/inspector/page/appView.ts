import { h, type ComponentChild } from 'preact';
import { plural } from './format.js';
import type { Model, Update } from './model.js';
import { overviewView } from './overviewView.js';
import { sessionsView } from './sessionsView.js';
import { sessionView } from './sessionView.js';
import { toggleTheme } from './theme.js';

/** The whole page as a function of the model. */
export function appView({ model, update }: { model: Model; update: Update }): ComponentChild {
  return h(
    'div',
    { class: `page showing-${model.route.view}` },
    header(model),
    notice(model, update),
    h('main', null, view(model, update)),
  );
}

function view(model: Model, update: Update): ComponentChild {
  switch (model.route.view) {
    case 'sessions':
      return sessionsView(model, update);
    case 'session':
      return sessionView(model, update);
    case 'overview':
      return overviewView(model);
  }
}

function header(model: Model): ComponentChild {
  const link = (view: string, title: string) =>
    h('a', { href: `#/${view}`, 'aria-current': model.route.view === view ? 'page' : undefined }, title);
  const status = { connecting: 'Connecting', live: 'Live', lost: 'No connection' }[model.link];
  return h(
    'header',
    null,
    h(
      'a',
      { class: 'brand', href: '#/sessions' },
      h('img', { src: 'icon.svg', alt: '', width: 20, height: 20 }),
      h('h1', null, 'Greenroom'),
    ),
    h('nav', { 'aria-label': 'Views' }, link('sessions', 'Sessions'), link('overview', 'Overview')),
    isAlertFiring(model) && h('a', { class: 'alarm', href: '#/overview' }, 'Alert'),
    h('span', { class: `link ${model.link}`, role: 'status' }, status),
    h(
      'button',
      {
        class: 'plain',
        'aria-label': 'Switch between light and dark',
        title: 'Light or dark (t)',
        onClick: toggleTheme,
      },
      '◐',
    ),
  );
}

/** Too many sessions cannot be set up. */
function isAlertFiring({ actors }: Model): boolean {
  return actors.some(({ machine, leaves }) => machine === 'alert' && leaves.includes('firing'));
}

/** Messages about the connection. They overlay the page, so that nothing moves. */
function notice(model: Model, update: Update): ComponentChild {
  const dismiss = (): void => update({ restarted: false, lost: 0 });
  const close = h('button', { class: 'plain', onClick: dismiss, 'aria-label': 'Dismiss' }, '×');
  const content =
    model.link === 'lost'
      ? [
          'The connection to the server is lost, or the server has too many viewers. Reconnecting; the page shows the last known state.',
        ]
      : model.restarted
        ? ['The server was restarted. The sessions from before are gone.', close]
        : model.lost > 0
          ? [
              `This page was too slow for ${plural(model.lost, 'frame')}; some events are missing; all states are correct.`,
              close,
            ]
          : [];
  return h('div', { class: `notice${content.length > 0 ? ' said' : ''}`, role: 'status' }, content);
}
