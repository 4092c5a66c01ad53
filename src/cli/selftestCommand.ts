import { messageOf } from '../errors/errors.js';
import { runSelftest, runParallelSelftests } from '../selftest/runSelftest.js';

export interface SelftestCommandOptions {
  /** A running server. Default: one is started for the test. */
  readonly url?: string | undefined;
  /** For the running server. */
  readonly token?: string | undefined;
  /** Sessions that run it at once. */
  readonly sessions: number;
  write(line: string): void;
  startServer(): Promise<{ readonly url: string; close(): Promise<void> }>;
}

/** `greenroom selftest`: resolves with the exit code, 0 only if every listed tool passed in every session. Stops the server that it started. */
export async function selftest({ url, token, sessions, write, startServer }: SelftestCommandOptions): Promise<number> {
  const started = url === undefined ? await startServer() : undefined;
  try {
    const options = started === undefined ? { url: url ?? '', token, write } : { url: started.url, write };
    const { failed } = await (sessions === 1 ? runSelftest(options) : runParallelSelftests({ ...options, sessions }));
    return failed === 0 ? 0 : 1;
  } catch (error) {
    write(`FAIL no session: ${messageOf(error)}`);
    write('0 passed, 1 failed');
    return 1;
  } finally {
    await started?.close();
  }
}
