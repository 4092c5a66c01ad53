import type { Observation, ObservationHandler } from '../../src/telemetry/observer.js';
import { Gate } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { TestTools } from '../support/testTools.js';
import { TraceRecorder } from '../prove/traces.js';
import { claimError, toolsError } from './plan.js';

/** What the charts of every server of a test were seen to do. */
export const traces = new TraceRecorder();

/** What the test holds of one server, apart from its pool. */
export class TestGates {
  readonly clock = new ManualClock();
  readonly tools = new TestTools();
  readonly registering = new Gate();
  readonly claiming = new Gate();
  readonly unexpected: Observation[] = [];

  readonly observe: ObservationHandler = (observation) => {
    traces.observe(observation);
    if (observation.kind === 'unexpected') this.unexpected.push(observation);
  };

  /** Lets the work that the chart invoked end as the event says. */
  settle(type: string): void {
    const gate = type.endsWith('.registering') ? this.registering : this.claiming;
    if (type.startsWith('xstate.done')) gate.open();
    else gate.fail(gate === this.registering ? toolsError : claimError);
  }

  /** Nothing is held any more. */
  open(): void {
    this.tools.releaseCalls();
    this.registering.open();
    this.claiming.open();
  }
}
