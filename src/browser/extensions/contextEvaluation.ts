import { ToolError } from '../../errors/errors.js';
import { evaluateInTarget, type EvaluationResult } from './evaluateInTarget.js';
import { findContentWorld } from './contentScripts.js';
import { contextUrl, runningContexts, withPanels, type ContextKind, type SelectedContext } from './liveContexts.js';
import { findExtension, ownDocumentUrl, type Extension } from './installedExtensions.js';
import { readManifest } from './manifest.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { requireWorker, WorkerMonitor } from './serviceWorkers.js';

/**
 * Evaluates code in the extension's service worker. Attaches for this call only, since that keeps a worker alive.
 * Throws a ToolError when the worker is stopped, and when it ends before it has answered.
 */
export async function evaluateInWorker(scope: CdpScope, extension: Extension, code: string): Promise<EvaluationResult> {
  const watch = await WorkerMonitor.open(scope);
  const targetId = watch.targetId(extension.id);
  if (targetId === undefined) {
    if (extension.enabled) await requireWorker(extension);
    throw workerNotRunning(extension, watch.state(extension.id));
  }
  const session = await scope.attach(targetId);
  // A session gets no event of the end of its worker: only the registry does.
  const ended = watch
    .waitUntil(() => watch.targetId(extension.id) !== targetId)
    .then(() => Promise.reject(new ToolError(`The service worker of ${extension.name} ended before it answered.`)));
  return Promise.race([evaluateInTarget(scope, { session }, code), ended]);
}

/** Evaluates code in an open document of the extension. Throws a ToolError that says how to open one if there is none. */
export async function evaluateInDocument(
  scope: CdpScope,
  extension: Extension,
  kind: ContextKind,
  code: string,
): Promise<EvaluationResult> {
  const running = await runningContexts(await scope.targets(), extension);
  const contexts = kind === 'side_panel' ? await withPanels(scope, extension, running) : running;
  const context = contexts.find((candidate) => candidate.kind === kind);
  if (!context) throw await contextNotOpen(extension, kind);
  return evaluateInTarget(scope, { session: await scope.attach(context.targetId) }, code);
}

/**
 * Evaluates code where nobody said where: in the service worker. Of an extension without one in its first open document, or
 * in a hidden page of it, which has the same `chrome` APIs.
 */
export async function evaluateInDefault(
  scope: CdpScope,
  extension: Extension,
  code: string,
): Promise<EvaluationResult & { readonly kind: ContextKind; readonly isHidden: boolean }> {
  const manifest = extension.enabled ? await readManifest(extension) : undefined;
  if (manifest === undefined || manifest.background?.service_worker !== undefined)
    return { ...(await evaluateInWorker(scope, extension, code)), kind: 'service_worker', isHidden: false };
  const [first] = await runningContexts(await scope.targets(), extension);
  const session = await (first === undefined
    ? scope.hiddenPage(ownDocumentUrl(extension.id))
    : scope.attach(first.targetId));
  const result = await evaluateInTarget(scope, { session }, code);
  return { ...result, kind: first?.kind ?? 'page', isHidden: first === undefined };
}

/** Evaluates code in the world of the extension's content scripts in a page. */
export async function evaluateInContentScript(
  scope: CdpScope,
  extension: Extension,
  page: SessionPage,
  code: string,
): Promise<EvaluationResult> {
  return evaluateInTarget(scope, await findContentWorld(scope, extension, page), code);
}

/** Evaluates code in the selected context. Throws a ToolError when it has ended. */
export async function evaluateInSelected(
  scope: CdpScope,
  selected: SelectedContext,
  pages: readonly SessionPage[],
  code: string,
): Promise<EvaluationResult> {
  const extension = await findExtension(scope, selected.extensionId);
  if (selected.kind === 'service_worker') return evaluateInWorker(scope, extension, code);
  if (selected.kind === 'content_script') {
    const page = pages.find(({ id }) => id === selected.pageId);
    if (page === undefined) throw contextGone(selected);
    return evaluateInContentScript(scope, extension, page, code);
  }
  const targets = await scope.targets();
  if (!targets.some(({ targetId }) => targetId === selected.contextId)) throw contextGone(selected);
  return evaluateInTarget(scope, { session: await scope.attach(selected.contextId) }, code);
}

function contextGone({ kind, url }: SelectedContext): ToolError {
  return new ToolError(
    `The selected context, the ${kind.replace('_', ' ')} at ${url}, is gone. Call list_extension_contexts for what runs, then switch_extension_context.`,
  );
}

function workerNotRunning({ id, name, enabled }: Extension, state: string): ToolError {
  if (!enabled) return new ToolError(`${name} is disabled. Call set_extension_enabled with extensionId ${id} first.`);
  const why = state === 'none' ? 'is not registered' : state === 'stopped' ? 'is asleep' : `is ${state}`;
  return new ToolError(
    `The service worker of ${name} ${why}. Call activate_extension_service_worker with extensionId ${id}, then again.`,
  );
}

async function contextNotOpen(extension: Extension, kind: ContextKind): Promise<ToolError> {
  if (kind === 'offscreen')
    return new ToolError(
      `${extension.name} has no offscreen document open: chrome.offscreen.createDocument opens one.`,
    );
  const address = await contextUrl(extension, kind);
  const label = kind.replace('_', ' ');
  return new ToolError(
    address === undefined
      ? `${extension.name} has no ${label}: its manifest names none.`
      : `The ${label} of ${extension.name} is not open. Open ${address} with new_page, then again.`,
  );
}
