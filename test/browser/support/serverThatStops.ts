/** A process for the janitor's test: opens a run folder, closes it, and has nothing else to do. */
import { openRunFolder } from '../../../src/browser/process/janitor.js';

const run = await openRunFolder(process.argv[2] ?? '');
await run.close();
process.stdout.write('stopped\n');
