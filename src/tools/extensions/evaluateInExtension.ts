import { z } from 'zod';
import { contextKinds, type ContextKind } from '../../browser/extensions/contexts.js';
import { EvaluationError, type EvaluationResult } from '../../browser/extensions/evaluateInTarget.js';
import {
  evaluateInContentScript,
  evaluateInDocument,
  evaluateInSelected,
  evaluateInWorker,
} from '../../browser/extensions/contextEvaluation.js';
import { findExtension } from '../../browser/extensions/installedExtensions.js';
import type { SelectedContext } from '../../browser/extensions/selection.js';
import { withCdpScope, type CdpScope } from '../../browser/cdp/cdpScope.js';
import { ToolError } from '../../errors/errors.js';
import { truncateAnswer } from '../answers.js';
import { defineTool, type BrowserToolContext } from '../defineTool.js';
import { extensionId } from '../extensionFields.js';

const evaluationTarget = z.enum(['service_worker', 'popup', 'options', 'side_panel', 'offscreen', 'content_script']);

const evaluationInput = z.strictObject({
  extensionId: extensionId.optional(),
  expression: z.string().min(1).describe('JavaScript, may await; a function is called'),
  target: evaluationTarget.optional().describe('Default: the selected context, or service_worker'),
  pageId: z.number().int().min(1).optional().describe('For content_script'),
});

type EvaluationArgs = z.output<typeof evaluationInput>;

/** Where to evaluate: what was selected, or the first context of a kind. */
interface EvaluationTarget {
  readonly extensionId: string;
  readonly kind: ContextKind;
  readonly selected?: SelectedContext;
}

export const evaluateInExtensionTool = defineTool({
  name: 'evaluate_in_extension',
  group: 'extension',
  needs: 'extension',
  description: 'Run JavaScript in an open context of an extension',
  input: evaluationInput,
  output: z.object({ extensionId, target: z.enum(contextKinds), type: z.string(), result: z.string() }),
  annotations: { readOnlyHint: false },
  async handler(args, context) {
    const { browser, signal } = context;
    const place = resolveTarget(args, browser.extensionContext.selected);
    const { json, type } = await withCdpScope(browser.browser, signal, (scope) =>
      evaluateIn(scope, place, args, context),
    );
    const result = truncateAnswer(json ?? type, 'pick what you need in the expression');
    return { text: result, structured: { extensionId: place.extensionId, target: place.kind, type, result } };
  },
});

/** What is named wins over what is selected. */
function resolveTarget(args: EvaluationArgs, selected: SelectedContext | undefined): EvaluationTarget {
  const id = args.extensionId ?? selected?.extensionId;
  if (id === undefined) {
    throw new ToolError('Pass extensionId (see list_extensions), or select a context with switch_extension_context.');
  }
  const isSelected = args.target === undefined && selected?.extensionId === id;
  if (isSelected) return { extensionId: id, kind: selected.kind, selected };
  return { extensionId: id, kind: args.target ?? 'service_worker' };
}

async function evaluateIn(
  scope: CdpScope,
  destination: EvaluationTarget,
  { expression, pageId }: EvaluationArgs,
  { browser }: BrowserToolContext,
): Promise<EvaluationResult> {
  const extension = await findExtension(scope, destination.extensionId);
  const { kind, selected } = destination;
  try {
    if (selected !== undefined) return await evaluateInSelected(scope, selected, browser.pages(), expression);
    if (kind === 'service_worker') return await evaluateInWorker(scope, extension, expression);
    if (kind !== 'content_script') return await evaluateInDocument(scope, extension, kind, expression);
    return await evaluateInContentScript(scope, extension, browser.page(pageId), expression);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    const where = `${kind.replace('_', ' ')} of ${extension.name}`;
    throw new ToolError(`The code threw in the ${where}: ${error.message}`, { cause: error });
  }
}
