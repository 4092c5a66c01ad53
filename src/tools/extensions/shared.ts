import { z } from 'zod';

export const extensionId = z.string().regex(/^[a-p]{32}$/, 'an extension id has 32 letters from a to p');

export const workerState = z.enum(['running', 'starting', 'stopping', 'stopped', 'none']);

/** `2 contexts`, `1 context`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
