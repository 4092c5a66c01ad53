import { z } from 'zod';

const report = z.object({
  /** `begin` and `end` of one thing share it, within a context. */
  id: z.number(),
  phase: z.enum(['begin', 'end']),
  kind: z.enum(['send', 'receive', 'call']),
  /** `runtime.sendMessage`, `port "name"`, `storage.local.get`, … */
  api: z.string(),
  /** JSON, capped: the message or the arguments; at the end the reply or result. */
  value: z.string().optional(),
  error: z.string().optional(),
  /** Who sent what was received, as Chrome told it, JSON. */
  sender: z.string().optional(),
  /** Milliseconds since 1970. */
  at: z.number(),
});

/** What an instrumented context says through its binding. */
export type Report = z.infer<typeof report>;

/** Undefined for what is no report: whatever runs in the context can call the binding. */
export function parseReport(payload: string): Report | undefined {
  try {
    return report.safeParse(JSON.parse(payload)).data;
  } catch {
    return undefined;
  }
}
