import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { AuditRules } from '../injected/contract.js';
import { measureDocument, runAudit } from '../cdp/injectedFunctions.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import type { FrameDocument } from './frames.js';
import type { NodeAddress } from './elementUids.js';
import type { SessionPage } from './sessionPage.js';

const findingsSchema = z.object({
  findings: z.array(
    z.object({
      id: z.string(),
      impact: z.enum(['critical', 'serious', 'moderate', 'minor']),
      help: z.string(),
      tags: z.array(z.string()),
      count: z.int(),
      nodes: z.array(z.object({ element: z.string(), summary: z.string() })),
    }),
  ),
  review: z.array(z.object({ id: z.string(), help: z.string(), count: z.int() })),
  /** A rule or tag that axe-core does not have, and those that it has. */
  unknown: z.object({ name: z.string(), known: z.array(z.string()) }).optional(),
});

export interface AuditedElement {
  readonly uid: string;
  readonly element: string;
  /** The problem, and the fix. */
  readonly summary: string;
}

/** What one rule found in all documents. */
export interface AuditFinding {
  readonly id: string;
  readonly impact: 'critical' | 'serious' | 'moderate' | 'minor';
  readonly help: string;
  readonly tags: readonly string[];
  readonly count: number;
  readonly elements: readonly AuditedElement[];
}

export interface AuditQuestion {
  readonly below: NodeAddress | undefined;
  /** Only this rule. */
  readonly rule: string | undefined;
  /** Rules with one of these tags. */
  readonly tags: readonly string[];
}

export interface AuditReport {
  readonly findings: readonly AuditFinding[];
  /** Rules that a person has to decide, with the number of elements. */
  readonly review: ReadonlyMap<string, number>;
  readonly documents: number;
  /** Why documents were left out, a line each. */
  readonly skipped: readonly string[];
}

const maxDocuments = 20;
/** Elements reported for one rule in one document. */
const maxElements = 50;
/** More take the page's time for minutes. */
const maxNodes = 40_000;

/** What only the outermost document has to have. */
const ofWholePage = [
  'bypass',
  'document-title',
  'html-has-lang',
  'landmark-one-main',
  'page-has-heading-one',
  'region',
];

const objectGroup = 'greenroom-elements';
const impacts = ['critical', 'serious', 'moderate', 'minor'];

let axeSource: Promise<string> | undefined;

/** Of axe-core, read once in the process. */
function readAxe(): Promise<string> {
  axeSource ??= readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  return axeSource;
}

/**
 * Audits a page and its frames, or what is below one node, by axe-core. It runs in the isolated world of each document, which
 * the page cannot see, and is gone afterwards. `releaseElements` releases what was found. Throws a ToolError for a rule or tag
 * that axe-core does not have.
 */
export async function auditAccessibility(page: SessionPage, question: AuditQuestion): Promise<AuditReport> {
  const { below } = question;
  const documents = below === undefined ? await page.frames.documents() : [below.document];
  const findings = new Map<string, AuditFinding>();
  const review = new Map<string, number>();
  const skipped: string[] = [];
  for (const [index, document] of documents.entries()) {
    const problem = index < maxDocuments ? await sizeProblem(page, document, below) : 'too many frames';
    const report = problem === undefined ? await unlessGone(auditDocument(page, document, question)) : undefined;
    if (report === undefined) {
      skipped.push(`${document.url}: ${problem ?? 'it cannot be audited'}`);
      continue;
    }
    if (report.unknown !== undefined) throw unknownName(report.unknown, question);
    for (const finding of report.findings) addFinding(findings, finding);
    for (const { id, count } of report.review) review.set(id, (review.get(id) ?? 0) + count);
  }
  if (skipped.length > 0 && skipped.length === documents.length)
    throw new ToolError(`Nothing was audited. ${skipped.join('; ')}.`);
  const sorted = [...findings.values()].sort(
    (one, other) => impacts.indexOf(one.impact) - impacts.indexOf(other.impact),
  );
  return { findings: sorted, review, documents: documents.length - skipped.length, skipped };
}

function unknownName({ name, known }: { name: string; known: readonly string[] }, { rule }: AuditQuestion): ToolError {
  const what = rule === undefined ? 'tag' : 'rule';
  const similar = known.filter((each) => rule === undefined || each.includes(name) || name.includes(each));
  const others =
    similar.length === 0 ? 'An audit without rule names those that fail.' : `It has ${similar.join(', ')}.`;
  return new ToolError(`axe-core has no ${what} ${JSON.stringify(name)}. ${others}`);
}

function addFinding(findings: Map<string, AuditFinding>, finding: AuditFinding): void {
  const known = findings.get(finding.id);
  const both = known && { count: known.count + finding.count, elements: [...known.elements, ...finding.elements] };
  findings.set(finding.id, { ...finding, ...both });
}

async function sizeProblem(
  page: SessionPage,
  document: FrameDocument,
  below: NodeAddress | undefined,
): Promise<string | undefined> {
  if (below !== undefined) return undefined;
  const size = await unlessGone(page.callInIsolatedWorld(measureDocument, [], document));
  const { nodes } = z.object({ nodes: z.int() }).safeParse(size).data ?? { nodes: 0 };
  return nodes > maxNodes ? `its ${nodes} nodes would take minutes: pass the uid of a part` : undefined;
}

async function auditDocument(
  page: SessionPage,
  document: FrameDocument,
  { below, rule, tags }: AuditQuestion,
): Promise<{ findings: AuditFinding[] } & Pick<z.infer<typeof findingsSchema>, 'review' | 'unknown'>> {
  const { cdp, frameId, parentId } = document;
  const contextId = await page.isolatedWorldOf(cdp, frameId);
  const loaded = await cdp.send('Runtime.evaluate', { expression: await readAxe(), contextId });
  if (loaded.exceptionDetails) throw new Error('axe-core could not be loaded.');
  const objectId = await rootObject(document, contextId, below);
  const rules: AuditRules = { rule: rule ?? null, tags, disabled: parentId === undefined ? [] : ofWholePage };
  const { result, exceptionDetails } = await cdp.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: runAudit,
    arguments: [{ value: rules }, { value: maxElements }],
    awaitPromise: true,
    objectGroup,
  });
  if (exceptionDetails || result.objectId === undefined)
    throw new Error(exceptionDetails?.exception?.description ?? 'no result');
  const { result: parts } = await cdp.send('Runtime.getProperties', { objectId: result.objectId, ownProperties: true });
  const [json, ...elements] = parts.filter(({ name }) => /^\d+$/.test(name)).map(({ value }) => value);
  const { findings, review, unknown } = findingsSchema.parse(JSON.parse(String(json?.value)));
  let next = 0;
  const uidOf = async (): Promise<string> => {
    const element = elements[next++]?.objectId;
    if (element === undefined) return '';
    const { node } = await cdp.send('DOM.describeNode', { objectId: element });
    return page.elements.uidOf(document, node.backendNodeId);
  };
  const found: AuditFinding[] = [];
  for (const { nodes, ...finding } of findings) {
    const audited: AuditedElement[] = [];
    for (const node of nodes) audited.push({ ...node, uid: await uidOf() });
    found.push({ ...finding, elements: audited });
  }
  return { findings: found, review, unknown };
}

/** The node to audit, in the isolated world. */
async function rootObject({ cdp }: FrameDocument, contextId: number, below: NodeAddress | undefined): Promise<string> {
  if (below === undefined) {
    const { result } = await cdp.send('Runtime.evaluate', { expression: 'document', contextId, objectGroup });
    return result.objectId ?? '';
  }
  const { backendNodeId } = below;
  const { object } = await cdp.send('DOM.resolveNode', { backendNodeId, executionContextId: contextId, objectGroup });
  return object.objectId ?? '';
}
