import { messageOf, Refusal } from '../../errors/errors.js';

export const leaseReleasedError = (): Error => new Error('The session has ended and its browser is released.');

export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal('browser_failed', { detail: `The browser failed: ${messageOf(error)}` }, { cause: error });
}

export function describeRefusedMove(mode: 'launch' | 'attach'): string {
  const flag = mode === 'launch' ? '--isolation auto (or process)' : '--isolation profile';
  return `This tool needs a browser process or profile of its own, and the server runs with --isolation context. Start it with ${flag}.`;
}
