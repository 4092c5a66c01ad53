import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { shortId } from '../log.js';
import { isObject } from './protocol.js';

export interface TracedCall {
  readonly tool: string;
  readonly sessionId: string;
  /** `_meta` of the request: its `traceparent` is nearer to the call than that of the HTTP request. */
  readonly meta: unknown;
}

/**
 * Runs a tool call in a span of its own (OpenTelemetry's conventions for MCP). Not a fold over observations, as the span
 * has to be active while the tool runs: what a tool does itself becomes its child. Without a registered SDK it only runs.
 */
export async function traceCall(call: TracedCall, run: () => Promise<CallToolResult>): Promise<CallToolResult> {
  const { tool, sessionId, meta } = call;
  const active = context.active();
  const parent = isObject(meta) && 'traceparent' in meta ? propagation.extract(active, meta) : active;
  const attributes = {
    'mcp.method.name': 'tools/call',
    'mcp.session.id': shortId(sessionId),
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': tool,
  };
  const span = trace
    .getTracer('greenroom')
    .startSpan(`tools/call ${tool}`, { kind: SpanKind.SERVER, attributes }, parent);
  try {
    const result = await context.with(trace.setSpan(parent, span), run);
    if (result.isError === true) span.setStatus({ code: SpanStatusCode.ERROR, message: 'tool_error' });
    return result;
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'cancelled' });
    throw error;
  } finally {
    span.end();
  }
}
