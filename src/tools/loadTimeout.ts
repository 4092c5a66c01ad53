import { z } from 'zod';

const maxLoadMs = 120_000;

/** In milliseconds. */
export const loadTimeout = z.number().int().min(1).max(maxLoadMs).default(15_000).describe('Longest wait, in ms');

/** Deadline of a tool that takes a `loadTimeout`: what is asked for, and time to settle and answer. */
export const navigationTimeoutMs = maxLoadMs + 10_000;
