import { appendFileSync } from 'node:fs';
import { createRequire, register, type LoadHook } from 'node:module';
import { isMainThread } from 'node:worker_threads';

/**
 * For `node --import`: writes each file that a process loads to the one that `RECORD_LOADS` names. Node runs the hook, and
 * with it this file, in a thread of its own too; what CommonJS has required is known when the process ends.
 */
const record = process.env['RECORD_LOADS'] ?? '';

export const load: LoadHook = (url, context, next) => {
  appendFileSync(record, `${url}\n`);
  return next(url, context);
};

if (isMainThread) {
  register(import.meta.url);
  const { cache } = createRequire(import.meta.url);
  process.on('exit', () => appendFileSync(record, Object.keys(cache).join('\n')));
}
