import type { Observation } from '../telemetry/observer.js';

/** What was observed of one actor; the rest is about requests, and about clients that wait. */
export type ActorObservation = Exclude<Observation, { kind: 'creation' | 'refusal' }>;

export function isActorObservation(observation: Observation): observation is ActorObservation {
  return observation.kind !== 'creation' && observation.kind !== 'refusal';
}
