import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { untilAborted } from '../../async.js';
import { messageOf, ToolError } from '../../errors/errors.js';
import { sendUntyped, unlessGone } from '../cdp/cdpSessions.js';
import type { SessionPage } from './sessionPage.js';

/** A tool that a document offers to agents (WebMCP), and the session of the process that renders it. */
export interface OfferedTool extends Protocol.WebMCP.Tool {
  readonly cdp: CDPSession;
}

/** The tools of a page and its frames (CDP WebMCP.toolsAdded). Throws a ToolError without WebMCP in the browser. */
export async function readOfferedTools(page: SessionPage): Promise<OfferedTool[]> {
  const perProcess = await Promise.all(page.frames.sessions().map(readToolsOf));
  return perProcess.flat();
}

const invokedSchema = z.object({ invocationId: z.string() });

/** When the domain is enabled, the browser reports all tools before it answers. */
async function readToolsOf(cdp: CDPSession): Promise<OfferedTool[]> {
  const found: OfferedTool[] = [];
  const onAdded = ({ tools }: Protocol.WebMCP.ToolsAddedEvent): void => {
    found.push(...tools.map((tool) => ({ ...tool, cdp })));
  };
  await unlessGone(cdp.send('WebMCP.disable'));
  cdp.on('WebMCP.toolsAdded', onAdded);
  try {
    await cdp.send('WebMCP.enable');
  } catch (error) {
    throw new ToolError(withoutWebMcp, { cause: error });
  } finally {
    cdp.off('WebMCP.toolsAdded', onAdded);
  }
  return found;
}

export const withoutWebMcp =
  'There is no WebMCP here: it needs a secure page (https or localhost) in Chrome 150 or later; in an attached browser also ' +
  '--enable-features=WebMCP.';

/**
 * Calls a tool of a page (CDP WebMCP.invokeTool) and resolves with its output. Aborting cancels the call. Throws a
 * ToolError with the error of the page.
 */
export async function callOfferedTool(
  { cdp, frameId, name }: OfferedTool,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<unknown> {
  const responses = new Map<string, Protocol.WebMCP.ToolRespondedEvent>();
  let onResponse = (): void => undefined;
  const onResponded = (event: Protocol.WebMCP.ToolRespondedEvent): void => {
    responses.set(event.invocationId, event);
    onResponse();
  };
  cdp.on('WebMCP.toolResponded', onResponded);
  let invocationId: string | undefined;
  try {
    const call = { frameId, toolName: name, input };
    const id = invokedSchema.parse(await sendUntyped(cdp, 'WebMCP.invokeTool', call)).invocationId;
    invocationId = id;
    const response = await untilAborted(
      new Promise<Protocol.WebMCP.ToolRespondedEvent>((resolve) => {
        onResponse = () => {
          const found = responses.get(id);
          if (found) resolve(found);
        };
        onResponse();
      }),
      signal,
    );
    return outputOf(name, response);
  } catch (error) {
    if (signal.aborted && invocationId !== undefined)
      await unlessGone(sendUntyped(cdp, 'WebMCP.cancelInvocation', { invocationId }));
    if (error instanceof ToolError || signal.aborted) throw error;
    throw new ToolError(`The page's tool ${name} could not be called: ${messageOf(error)}`, { cause: error });
  } finally {
    cdp.off('WebMCP.toolResponded', onResponded);
  }
}

/** The types of the protocol have a former name. */
const isCompleted = (status: string): boolean => status === 'Completed' || status === 'Success';

function outputOf(name: string, { status, output, errorText, exception }: Protocol.WebMCP.ToolRespondedEvent): unknown {
  if (isCompleted(status)) return output;
  const reason = exception?.description ?? errorText ?? 'it gave no reason';
  throw new ToolError(`The page's tool ${name} ${status === 'Error' ? 'failed' : 'was cancelled'}: ${reason}`);
}
