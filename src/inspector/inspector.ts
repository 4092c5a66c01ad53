import type { Router } from 'express';
import type { Clock } from '../clock.js';
import { type ObservationHandler, isActorObservation, settledRequest } from '../telemetry/observer.js';
import type { Session } from '../session/session.js';
import { shortId } from '../log.js';
import type { RemoteNodes } from './sessionTable.js';
import { Journal } from './journal.js';
import { Payloads } from './payloads.js';
import { inspectorRoutes } from './inspectorRoutes.js';
import type { InspectedSession } from './sessionTrack.js';
import { Statistics } from './statistics.js';
import { Viewers } from './viewers.js';
import type { SessionRow } from './wire.js';

interface InspectorDeps {
  readonly clock: Clock;
  /** A session of this node, until it is released. */
  find(id: string): Session | undefined;
  /** The document of `GET /health`. */
  health(): Promise<object>;
  /** The use of each user, as in `GET /api/usage`. */
  usage(): Promise<readonly object[]>;
  readonly remoteNodes?: RemoteNodes | undefined;
}

export interface Inspector {
  readonly onObservation: ObservationHandler;
  /** The sessions of this node, oldest first. */
  rows(): SessionRow[];
  /** The page, its stream and its data, to be mounted at `/inspector` behind authentication. */
  readonly routes: Router;
}

/** The live view of all sessions. Owns nothing that needs closing. */
export function createInspector({ clock, find, health, usage, remoteNodes }: InspectorDeps): Inspector {
  const journal = new Journal(clock, (id) => readSession(find(id), remoteNodes?.node));
  const statistics = new Statistics(clock);
  const overview = async () => statistics.overview(await health());
  const payloads = new Payloads(clock, (id) => find(journal.track(id)?.sessionId ?? ''));
  const remoteRows = remoteNodes?.rows ?? (() => Promise.resolve([]));
  const viewers = new Viewers({ journal, payloads, clock, overview, remoteRows });
  return {
    onObservation: (observation) => {
      if (observation.kind === 'creation') statistics.recordCreation(observation);
      const request = settledRequest(observation);
      if (request !== undefined && request.tool !== null) statistics.recordCall(clock.now(), request.durationMs);
      if (!isActorObservation(observation)) return;
      journal.record(observation);
      if (observation.kind === 'transition' && observation.machine === 'session')
        statistics.record(observation, journal.track(shortId(observation.actor)));
    },
    rows: () => journal.rows(),
    routes: inspectorRoutes({ viewers, journal, clock, overview, usage, remoteRows }),
  };
}

/** A warm session has no client yet. */
const warmFields = { user: '', transport: 'warm', client: null, toolCalls: 0 } as const;

function readSession(session: Session | undefined, node: string | undefined): InspectedSession | undefined {
  if (session === undefined) return undefined;
  const browserActor = session.browserLease?.browserId ?? null;
  const { createdAt } = session;
  const { browser: browserState } = session.actor.getSnapshot().context;
  const common = { createdAt, browserState, browserActor, ...(node !== undefined && { node }) };
  if (session.isWarm) return { ...warmFields, ...common };
  const { client, toolCalls } = session.server;
  const { kind: transport } = session.channel;
  return { user: session.user, transport, client, toolCalls, ...common };
}
