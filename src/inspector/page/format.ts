/** Texts and numbers for display. */

/** A length of time in at most two units: `850 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A duration that grows on the page: whole seconds, so that nothing flickers. */
export function formatAge(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1_000))} s` : formatDuration(ms);
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** `14:05:09.123`, in the reader's time zone. */
export function formatTime(at: number): string {
  return `${clock.format(at)}.${String(at % 1_000).padStart(3, '0')}`;
}

/** XState's own events contain the path of the state: `xstate.done.actor.0.session.tools-registered.claiming`. */
export function describeCause(cause: string): string {
  const [prefix, kind, ...rest] = cause.split('.');
  if (prefix !== 'xstate') return cause;
  if (kind === 'init') return 'start';
  if (kind === 'after') return `after ${rest[0] ?? ''}`;
  return `${rest.at(-1) ?? ''} ${kind === 'error' ? 'failed' : 'done'}`;
}

/** Why a session ended, in a sentence. */
const closeReasonTexts: Readonly<Record<string, string>> = {
  'client-closed': 'The client closed it.',
  'initialize-timeout': 'The client connected and sent nothing.',
  'idle-timeout': 'It was idle for too long.',
  'setup-timeout': 'It was not ready in time.',
  'setup-failed': 'Its set-up failed.',
  'claim-refused': 'The directory refused the claim.',
  stale: 'It was warm for too long, or its browser did not respond.',
  'browser-failed': 'No browser could be leased.',
  'browser-lost': 'Its browser was lost and could not be replaced.',
  'slow-client': 'The client did not read what it was sent.',
  'operator-closed': 'An operator closed it.',
  'server-draining': 'The server was shutting down.',
};

export function describeCloseReason(because: string): string {
  return closeReasonTexts[because] ?? because;
}

export function plural(count: number, one: string): string {
  return `${count.toLocaleString('en')} ${one}${count === 1 ? '' : 's'}`;
}
