import type { Router } from 'express';
import type { Clock } from '../clock.js';
import type { Fold } from '../session/observer.js';
import type { Session } from '../session/session.js';
import { shortId } from '../log.js';
import { concernsActor } from './actorObservation.js';
import type { Elsewhere } from './elsewhere.js';
import { Journal } from './journal.js';
import { Payloads } from './payloads.js';
import { inspectorRoutes } from './routes.js';
import type { Facts } from './sessionTrack.js';
import { Statistics } from './statistics.js';
import { Viewers } from './viewers.js';
import type { Row } from './wire.js';

export interface InspectorDeps {
  readonly clock: Clock;
  /** A session that is not released yet. */
  find(id: string): Session | undefined;
  /** The document of `GET /health`. */
  health(): Promise<object>;
  readonly elsewhere?: Elsewhere | undefined;
}

export interface Inspector {
  readonly fold: Fold;
  /** The sessions of this node, oldest first. */
  rows(): Row[];
  /** The page, its stream and its data, to be mounted at `/inspector` behind whatever guards it. */
  readonly routes: Router;
}

/** The live view of every session: remembers what happened, shows it to whoever looks. Holds nothing that needs closing. */
export function createInspector({ clock, find, health, elsewhere }: InspectorDeps): Inspector {
  const journal = new Journal(clock, (id) => factsOf(find(id), elsewhere?.node));
  const statistics = new Statistics(clock);
  const overview = async () => statistics.read(await health());
  const payloads = new Payloads(clock, (id) => find(journal.track(id)?.key ?? ''));
  const others = elsewhere?.rows ?? (() => Promise.resolve([]));
  const viewers = new Viewers({ journal, payloads, clock, overview, others });
  return {
    fold: (observation) => {
      if (!concernsActor(observation)) return;
      journal.fold(observation);
      if (observation.kind === 'transition' && observation.machine === 'session')
        statistics.fold(observation, journal.track(shortId(observation.actor)));
    },
    rows: () => journal.rows(),
    routes: inspectorRoutes({ viewers, journal, clock, overview, others }),
  };
}

/** A warm session has no client yet. */
const nobodys = { user: '', transport: 'warm', client: null, toolCalls: 0 } as const;

function factsOf(session: Session | undefined, node: string | undefined): Facts | undefined {
  if (session === undefined) return undefined;
  const browserActor = session.browserLease?.browserId ?? null;
  const { createdAt } = session;
  const { browser: browserState } = session.actor.getSnapshot().context;
  const place = { createdAt, browserState, browserActor, ...(node !== undefined && { node }) };
  if (session.isWarm) return { ...nobodys, ...place };
  const { client, toolCalls } = session.server;
  const { kind: transport } = session.channel;
  return { user: session.user, transport, client, toolCalls, ...place };
}
