import { z } from 'zod';
import { ToolError } from '../errors/errors.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { findElement, findElementBySelector, releaseElements, type PageElement } from '../browser/page/element.js';
import type { Candidate, StyleBlock } from '../browser/styles/cascade.js';
import { pseudoStates, readElementStyles, type ElementStyles } from '../browser/styles/elementStyles.js';
import {
  explainBlocks,
  explainProperty,
  inheritedDeclarations,
  type DeclarationUse,
  type PropertyOrigin,
} from '../browser/styles/explainStyles.js';
import { placeOriginalRules } from '../browser/styles/rulePlaces.js';
import { readListeners, type ElementListener } from '../browser/styles/elementListeners.js';
import { locationText } from './consoleTools.js';
import { readTargetName } from '../browser/cdp/injectedFunctions.js';
import { truncateAnswer } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';
import { OriginalPlaces } from './originalPlaces.js';
import { oneLine } from './pagination.js';

const maxValueChars = 160;
const maxOverridden = 6;
const maxDeclarations = 25;
const maxInherited = 15;

const declarationRow = z.object({
  name: z.string(),
  value: z.string(),
  important: z.boolean().optional(),
  state: z.enum(['used', 'partly', 'overridden', 'invalid']),
  /** Why it is not used. */
  reason: z.string().optional(),
});

const sourceRow = {
  rule: z.string(),
  place: z.string(),
  specificity: z.string().optional(),
  conditions: z.array(z.string()),
};

const propertyRow = z.object({
  names: z.array(z.string()),
  computed: z.string().optional(),
  declared: z.object({ name: z.string(), value: z.string(), ...sourceRow }).optional(),
  inheritedFrom: z.string().optional(),
  lines: z.array(z.string()),
});

const getElementStylesTool = definePageTool({
  name: 'get_element_styles',
  title: 'Element styles',
  group: 'styles',
  description:
    'Why an element looks as it does, is not seen or not clickable: rules with file and line, strongest first, what overrides them, stacking, fonts',
  input: z.strictObject({
    uid: z.string().optional().describe('Element, from a snapshot'),
    selector: z.string().optional().describe('Or CSS: the first match'),
    properties: z.array(z.string()).max(20).optional().describe('Only where these come from: "color", "--gap"'),
    states: z.array(z.enum(pseudoStates)).optional().describe('Forced'),
    pseudo: z.string().optional().describe('"::before"'),
    limit: z.int().min(1).max(100).default(10).describe('Rules'),
    page: z.int().min(1).default(1).describe('1 has the strongest'),
  }),
  output: z.object({
    element: z.string(),
    url: z.string(),
    box: z.array(z.number()).optional(),
    facts: z.array(z.string()),
    properties: z.array(propertyRow).optional(),
    rules: z.array(z.object({ ...sourceRow, declarations: z.array(declarationRow) })).optional(),
    total: z.int().optional(),
    inherited: z.array(z.string()).optional(),
  }),
  annotations: { readOnlyHint: true },
  timeoutMs: 60_000,
  async handler(args, { page, browser, signal }) {
    const { properties, states = [], pseudo } = args;
    try {
      const element = await findTarget(page, args);
      const { frameId, cdp } = element.address.document;
      const frame = { frameId, targetId: page.frames.targetIdOf(cdp) };
      const read = await readElementStyles(page, element, { states, pseudo, properties: properties ?? [] }, signal);
      const styles = await placeOriginalRules(browser.sources, frame, read, signal);
      const { layout } = styles;
      const shown = `${layout.element}${pseudo === undefined ? '' : `::${pseudo.replace(/^::?/, '')}`}`;
      const base = { element: shown, url: layout.url, ...(layout.box && { box: [...layout.box] }) };
      if (properties !== undefined && properties.length > 0) {
        const answers = properties.flatMap((name) => propertyAnswers(styles, name));
        const text = [`${shown}${stateText(states)}`, ...answers.flatMap(({ lines }) => lines)].join('\n');
        return {
          text: truncateAnswer(text, 'ask for fewer properties'),
          structured: { ...base, facts: [], properties: answers },
        };
      }
      const facts = pseudo === undefined ? factsOf(styles) : pseudoFacts(styles);
      const { lines, ...listing } = ruleListing(styles, args);
      const text = [`${shown}${stateText(states)} in ${oneLine(layout.url, 200)}`, ...facts, ...lines].join('\n');
      return {
        text: truncateAnswer(text, 'pass properties, or a smaller limit'),
        structured: { ...base, facts, ...listing },
      };
    } finally {
      await releaseElements(page);
    }
  },
});

const listenerRow = z.object({
  target: z.string(),
  type: z.string(),
  capture: z.boolean(),
  passive: z.boolean(),
  once: z.boolean(),
  count: z.int(),
  place: z.string().optional(),
  code: z.string(),
});

const maxListeners = 60;

const listEventListenersTool = definePageTool({
  name: 'list_event_listeners',
  title: 'Event listeners',
  group: 'styles',
  description: 'Event listeners of an element and its ancestors, with their places',
  input: z.strictObject({
    uid: z.string().optional().describe('Element, from a snapshot'),
    selector: z.string().optional().describe('Or CSS: the first match'),
    types: z.array(z.string()).optional().describe('Only these events'),
  }),
  output: z.object({ element: z.string(), listeners: z.array(listenerRow), total: z.int() }),
  annotations: { readOnlyHint: true },
  async handler(args, { page, browser, signal }) {
    try {
      const element = await findTarget(page, args);
      const targets = await readListeners(page, element);
      const locations = targets.flatMap(({ listeners }) => listeners.map(({ place }) => place));
      const places = await OriginalPlaces.find({ browser, page }, { locations, texts: [] }, signal);
      const rows = targets.flatMap(({ name, listeners }) =>
        listeners
          .filter(({ type }) => args.types?.includes(type) ?? true)
          .map((listener) => listenerFacts(name, listener, places)),
      );
      const name = String(await element.call(readTargetName));
      const shown = rows.slice(0, maxListeners);
      const others = [...new Set(targets.flatMap(({ listeners }) => listeners.map(({ type }) => type)))];
      const none =
        others.length === 0
          ? 'No event at it is listened to by the page.'
          : `None of these. There are: ${others.join(', ')}`;
      return {
        text: [
          `An event at ${name} reaches:`,
          ...(rows.length === 0 ? [none] : listenerLines(shown)),
          ...leftLine(rows.length),
        ].join('\n'),
        structured: { element: name, listeners: shown, total: rows.length },
      };
    } finally {
      await releaseElements(page);
    }
  },
});

const leftLine = (count: number): string[] =>
  count > maxListeners ? [`… ${count - maxListeners} more: pass types`] : [];

function listenerFacts(target: string, listener: ElementListener, places: OriginalPlaces): z.input<typeof listenerRow> {
  const { type, capture, passive, once, count, place, code } = listener;
  return {
    target,
    type,
    capture,
    passive,
    once,
    count,
    code,
    ...(place && { place: places.text(place, locationText(place)) }),
  };
}

function listenerLines(rows: readonly z.input<typeof listenerRow>[]): string[] {
  let last: string | undefined;
  return rows.flatMap(({ target, type, capture, passive, once, count, place, code }) => {
    const head = target === last ? [] : [target];
    last = target;
    const notes = [...(capture ? ['capture'] : []), ...(passive ? ['passive'] : []), ...(once ? ['once'] : [])];
    const how = `${type}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}${count > 1 ? ` × ${count}` : ''}`;
    return [...head, `  ${[how, ...(place === undefined ? [] : [place]), ...(code === '' ? [] : [code])].join(' · ')}`];
  });
}

/** The element of a uid, or the first that a selector finds. */
async function findTarget(
  page: SessionPage,
  { uid, selector }: { uid?: string | undefined; selector?: string | undefined },
): Promise<PageElement> {
  if ((uid === undefined) === (selector === undefined)) throw new ToolError('Pass either uid or selector.');
  return uid === undefined ? findElementBySelector(page, selector ?? '') : findElement(page, uid);
}

const stateText = (states: readonly string[]): string => (states.length === 0 ? '' : ` with :${states.join(' :')}`);

/** Box, visibility, stacking, clicks and fonts, a line each. */
function factsOf({ layout, fonts }: ElementStyles): string[] {
  const { box, edges, stacking, hidden, click, fixedIn } = layout;
  const [left = 0, top = 0, width = 0, height = 0] = box ?? [];
  const size = box === null ? 'none' : `${width} × ${height} at ${left}, ${top}`;
  const stacked = stackingText(stacking);
  return [
    `Box: ${[size, ...edges, ...layout.layout].join('; ')}`,
    ...(fixedIn === null ? [] : [`Fixed within ${fixedIn}, not the viewport`]),
    ...(hidden === null ? [] : [`Not seen: ${hidden}`]),
    ...(hidden === null && click !== null ? [`A click does not land: ${click}`] : []),
    ...(stacked === '' ? [] : [`Stacking: ${stacked}`]),
    ...fontLines(fonts),
  ];
}

const pseudoLayout = ['content', 'display', 'position', 'width', 'height'];

function pseudoFacts({ computed, fonts }: ElementStyles): string[] {
  const values = pseudoLayout.flatMap((name) => (computed.has(name) ? [`${name} ${computed.get(name) ?? ''}`] : []));
  return [values.length === 0 ? 'It is not drawn.' : `Box: ${values.join('; ')}`, ...fontLines(fonts)];
}

function fontLines(fonts: ElementStyles['fonts']): string[] {
  const used = fonts.map(
    ({ familyName, isCustomFont, glyphCount }) =>
      `${familyName} (${isCustomFont ? 'web font, ' : ''}${glyphCount} glyphs)`,
  );
  return used.length === 0 ? [] : [`Fonts: ${used.slice(0, 5).join(', ')}`];
}

function stackingText({ zIndex, isIgnored, makes, within }: ElementStyles['layout']['stacking']): string {
  const isPlain = !isIgnored && makes === null && (within === null || within.endsWith('(the root element)'));
  if (isPlain) return '';
  return [
    ...(isIgnored ? [`z-index: ${zIndex} has no effect, since position is static`] : []),
    ...(makes === null ? [] : [`makes a context (${makes})`]),
    ...(within === null ? [] : [`within that of ${within}`]),
  ].join('; ');
}

/** Specificity, layers, conditions and place of a rule. */
function sourceText({ specificity, conditions, place }: StyleBlock): string {
  return [place, ...(specificity ? [specificity.join(',')] : []), ...conditions]
    .filter((part) => part !== '')
    .join(' · ');
}

const shortName = (block: StyleBlock): string => (block.place === '' ? block.name : `${block.name} (${block.place})`);

function declarationText({ name, value, important }: Candidate['declaration']): string {
  return `${name}: ${oneLine(value, maxValueChars)}${important ? ' !important' : ''}`;
}

function candidateText({ block, declaration }: Candidate): string {
  if (block.origin === 'user-agent') return `the browser: ${block.name} { ${declarationText(declaration)} }`;
  const isRule = block.place !== '';
  const text = isRule
    ? `${block.name} { ${declarationText(declaration)} }`
    : `${block.name} ${declarationText(declaration)}`;
  const source = sourceText(block);
  return source === '' ? text : `${text} · ${source}`;
}

function propertyAnswers(styles: ElementStyles, name: string): z.input<typeof propertyRow>[] {
  if (styles.longhands.get(name)?.length === 0) {
    throw new ToolError(`${JSON.stringify(name)} is no CSS property that this browser knows.`);
  }
  const origins = explainProperty(styles, name);
  return origins.map((origin) => {
    const shown = origins.length === 1 ? name : origin.names.join(', ');
    const { names, computed, winner, inheritedFrom } = origin;
    return {
      names: [...names],
      ...(computed !== undefined && { computed }),
      ...(winner && {
        declared: { ...structuredSource(winner.block), name: winner.declaration.name, value: winner.declaration.value },
      }),
      ...(inheritedFrom !== undefined && { inheritedFrom }),
      lines: propertyLines(shown, origin, ''),
    };
  });
}

const noValue = '(no value)';

function propertyLines(name: string, origin: PropertyOrigin, indent: string): string[] {
  const { computed, winner, inheritedFrom, askedBy, rolledBack, overridden, variables, sizedBy } = origin;
  const value = computed === undefined || computed === '' ? noValue : oneLine(computed, maxValueChars);
  const inner = `${indent}  `;
  const others = overridden.filter(({ candidate }) => candidate.block.origin !== 'user-agent');
  const left = others.length - maxOverridden;
  return [
    `${indent}${name}: ${value}`,
    winner === undefined
      ? `${inner}nothing declares it: ${name.startsWith('--') && value === noValue ? 'it is not set' : 'the initial value'}`
      : `${inner}${inheritedFrom === undefined ? 'set by' : `inherited from ${inheritedFrom}:`} ${candidateText(winner)}`,
    ...(sizedBy === undefined ? [] : [`${inner}${sizedBy}`]),
    ...(askedBy ? [`${inner}as asked by ${candidateText(askedBy)}`] : []),
    ...rolledBack.map((candidate) => `${inner}rolled back by ${candidateText(candidate)}`),
    ...others
      .slice(0, maxOverridden)
      .map(({ candidate, reason }) => `${inner}over ${candidateText(candidate)}: ${reason}`),
    ...(left > 0 ? [`${inner}over ${left} more`] : []),
    ...variables.flatMap((variable) => propertyLines(variable.names.join(), variable, inner)),
  ];
}

function structuredSource({ name, place, specificity, conditions }: StyleBlock) {
  return { rule: name, place, ...(specificity && { specificity: specificity.join(',') }), conditions: [...conditions] };
}

interface ListingOptions {
  readonly limit: number;
  readonly page: number;
}

function ruleListing(styles: ElementStyles, { limit, page }: ListingOptions) {
  const all = explainBlocks(styles).filter(({ block }) => block.origin !== 'user-agent');
  const pages = Math.max(1, Math.ceil(all.length / limit));
  const shown = all.slice((page - 1) * limit, page * limit);
  const inherited = page === 1 ? inheritedLines(styles) : [];
  const pseudo = page === 1 && styles.pseudoElements.length > 0 ? styles.pseudoElements.map((name) => `::${name}`) : [];
  return {
    rules: shown.map(({ block, uses }) => ({
      ...structuredSource(block),
      declarations: uses.slice(0, maxDeclarations).map(structuredUse),
    })),
    total: all.length,
    inherited,
    lines: [
      all.length === 0
        ? 'No rules of the page match.'
        : `Rules, strongest first${pages > 1 ? ` (page ${page} of ${pages}, ${all.length} in all)` : ''}:`,
      ...shown.flatMap(({ block, uses }) => blockLines(block, uses)),
      ...(inherited.length > 0 ? ['Inherited:', ...inherited.map((line) => `  ${line}`)] : []),
      ...(pseudo.length > 0 ? [`Pseudo-elements with rules (pass pseudo): ${pseudo.slice(0, 10).join(', ')}`] : []),
    ],
  };
}

function blockLines(block: StyleBlock, uses: readonly DeclarationUse[]): string[] {
  const source = sourceText(block);
  const left = uses.length - maxDeclarations;
  return [
    source === '' ? block.name : `${block.name} · ${source}`,
    ...uses.slice(0, maxDeclarations).map((use) => `  ${useText(use)}`),
    ...(left > 0 ? [`  … ${left} more declarations`] : []),
  ];
}

const unsetVariable = (name: string): string => `${name} is not set, so the inherited or initial value counts`;

function useText({ declaration, state, by, missing, sizedBy }: DeclarationUse): string {
  const text = declarationText(declaration);
  if (state === 'invalid') return `${text} — not used: ${declaration.problem ?? ''}`;
  if (missing !== undefined) return `${text} — ${unsetVariable(missing)}`;
  if (by === undefined) return sizedBy === undefined ? text : `${text} — ${sizedBy}`;
  return `${text} — ${state === 'partly' ? 'partly ' : ''}overridden by ${shortName(by.candidate.block)}: ${by.reason}`;
}

function structuredUse({ declaration, state, by, missing }: DeclarationUse): z.input<typeof declarationRow> {
  const { name, value, important } = declaration;
  const problem = declaration.problem ?? (missing === undefined ? undefined : unsetVariable(missing));
  const reason = problem ?? (by && `${shortName(by.candidate.block)}: ${by.reason}`);
  return {
    name,
    value: oneLine(value, maxValueChars),
    state,
    ...(important && { important }),
    ...(reason !== undefined && { reason }),
  };
}

function inheritedLines(styles: ElementStyles): string[] {
  const all = inheritedDeclarations(styles);
  const left = all.length - maxInherited;
  return [
    ...all.slice(0, maxInherited).map(({ ancestor, block, declaration }) => {
      return `${declarationText(declaration)} — ${ancestor}, ${shortName(block)}`;
    }),
    ...(left > 0 ? [`… ${left} more`] : []),
  ];
}

export const styleTools: readonly Tool[] = [getElementStylesTool, listEventListenersTool];
