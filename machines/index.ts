import { alertMachine } from './alertMachine.js';
import { browserMachine } from './browserMachine.js';
import {
  alertEventTypes,
  browserEventTypes,
  leaseEventTypes,
  nodeEventTypes,
  ownershipEventTypes,
  serverEventTypes,
  sessionEventTypes,
} from './events.js';
import { leaseMachine } from './leaseMachine.js';
import { nodeMachine } from './nodeMachine.js';
import { ownershipMachine } from './ownershipMachine.js';
import { serverMachine } from './serverMachine.js';
import { sessionMachine } from './sessionMachine.js';

/** Every chart of the program with its closed set of events. Tests walk them; the diagrams are generated from them. */
export const machines = [
  { name: 'session', machine: sessionMachine, eventTypes: sessionEventTypes },
  { name: 'browser', machine: browserMachine, eventTypes: browserEventTypes },
  { name: 'lease', machine: leaseMachine, eventTypes: leaseEventTypes },
  { name: 'node', machine: nodeMachine, eventTypes: nodeEventTypes },
  { name: 'ownership', machine: ownershipMachine, eventTypes: ownershipEventTypes },
  { name: 'server', machine: serverMachine, eventTypes: serverEventTypes },
  { name: 'alert', machine: alertMachine, eventTypes: alertEventTypes },
] as const;

export { alertMachine } from './alertMachine.js';
export { browserMachine } from './browserMachine.js';
export { leaseMachine } from './leaseMachine.js';
export { nodeMachine } from './nodeMachine.js';
export { ownershipMachine } from './ownershipMachine.js';
export type { OwnershipInput, SessionEndRecord } from './ownershipMachine.js';
export { serverMachine } from './serverMachine.js';
export { sessionMachine } from './sessionMachine.js';
export type { SessionContext } from './sessionMachine.js';
export type * from './events.js';
