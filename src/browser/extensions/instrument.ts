import { callExpression, flushReports, instrumentContext } from '../cdp/injectedFunctions.js';

/** The name under which a context reports; its own in no page but the extension's worlds. */
export const bindingName = 'greenroomActivity';

/** Instruments the context it runs in, or only sets whether it traces. Breaks nothing where no extension runs. */
export function instrumentExpression(tracing: boolean): string {
  return `(() => { try { return ${callExpression(instrumentContext, bindingName, tracing)}; } catch { return false; } })()`;
}

/** Sends what was reported before the binding was there. */
export const flushExpression = callExpression(flushReports);
