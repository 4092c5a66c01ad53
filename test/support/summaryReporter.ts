import { writeSync } from 'node:fs';

interface AggregatedResult {
  readonly numPassedTests: number;
  readonly numTotalTests: number;
  /** Files that could not even be run; none of their tests is counted. */
  readonly numRuntimeErrorTestSuites: number;
}

/**
 * Jest reporter whose line `N passed, N failed` is the last of the whole run. A test that was skipped, or a file that did
 * not run, has failed; so has a run without tests.
 */
export default class SummaryReporter {
  #error: Error | undefined;

  onRunComplete(_contexts: unknown, results: AggregatedResult): void {
    const passed = results.numPassedTests;
    const failed = results.numTotalTests - passed + results.numRuntimeErrorTestSuites;
    if (failed > 0) this.#error = new Error(`${failed} tests failed or were skipped.`);
    if (passed + failed === 0) this.#error = new Error('There was no test.');
    // Jest and the other reporters still write after this call; nothing is written after `exit`.
    process.once('exit', () => writeSync(process.stdout.fd, `${passed} passed, ${failed} failed\n`));
  }

  /** Asked by jest: an error makes the run exit with 1. */
  getLastError(): Error | undefined {
    return this.#error;
  }
}
