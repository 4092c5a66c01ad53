import { h, render } from 'preact';
import type { Chart } from '../wire.js';
import { appView } from './appView.js';
import { FrameStream } from './frameStream.js';
import { listenToKeys } from './shortcuts.js';
import { initialModel, applyFrame, type Model, type Route, type Update, type UserUse } from './model.js';
import { applyTheme } from './theme.js';

/** The loop of the page: frames and input change the model, which is drawn at most once per animation frame. */

const root = document.getElementById('app') ?? document.body;
let model: Model = { ...initialModel, route: readRoute() };
let isDrawScheduled = false;

const update: Update = (change) => {
  model = { ...model, ...change };
  if (change.contents !== undefined) watch();
  if (isDrawScheduled) return;
  isDrawScheduled = true;
  requestAnimationFrame(() => {
    isDrawScheduled = false;
    render(h(appView, { model, update }), root);
  });
};

const connection = new FrameStream({
  onFrame: (frame) => update(applyFrame(model, frame)),
  onLost: () => update({ link: 'lost' }),
});

function readRoute(): Route {
  const [, view, id] = /^#\/(\w+)(?:\/([\w-]+))?$/.exec(location.hash) ?? [];
  if (view === 'session' && id !== undefined) return { view, id };
  return { view: view === 'overview' ? 'overview' : 'sessions' };
}

function watch(): void {
  const { route, contents } = model;
  connection.watch(route.view === 'session' ? route.id : null, contents);
}

function onRouteChange(): void {
  const route = readRoute();
  update({ route, session: null, step: null, restarted: false, startedAt: null, contents: false, scrollTop: 0 });
  scrollTo(0, 0);
  void showUsers();
}

/** Measuring the use of users costs the server something: it is requested only while the overview is shown. */
async function showUsers(): Promise<void> {
  if (model.route.view !== 'overview' || document.hidden) return;
  // What was shown last stays; the notice says that the connection is lost.
  const response = await fetch('../api/usage').catch(() => undefined);
  if (response?.ok === true) update({ users: ((await response.json()) as { users: UserUse[] }).users });
}

window.addEventListener('hashchange', onRouteChange);
window.addEventListener('resize', () => update({}));
listenToKeys(() => model, update);
// Ages grow without frames from the server.
setInterval(() => update({}), 1_000);
setInterval(() => void showUsers(), 5_000);
applyTheme();
// Links are resolved against the base: at another address each would reload the page.
history.replaceState(null, '', document.baseURI + location.hash);
root.replaceChildren();
onRouteChange();
const response = await fetch('charts.json');
update({ charts: (await response.json()) as Chart[] });
