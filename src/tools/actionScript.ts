import { Script } from 'node:vm';
import { z } from 'zod';
import { locateTargets, type ActionTarget, type RecordedAction } from '../browser/page/actionLog.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { functionStart } from '../browser/page/initScripts.js';
import { parseChord } from '../browser/page/deviceInput.js';
import type { Answer, Tool } from './defineTool.js';

export type Framework = 'puppeteer' | 'playwright';

/** The statements of one action. `page` is the variable of its page. */
type Statements = (action: RecordedAction, page: string, framework: Framework) => readonly string[];

const text = (value: unknown): string => (value === undefined ? 'undefined' : JSON.stringify(value));
const given = (value: unknown): string => (typeof value === 'string' ? value : '');

const leftOutMark = '// Left out: ';

/** A line that says what the script does not do again. */
const leftOut = (what: string): string[] => [`${leftOutMark}${what}.`];

/** The locator of an element in a framework, in the form with which it looks through open shadow roots. */
function locatorOf({ targets }: RecordedAction, uid: unknown, page: string, framework: Framework): string {
  const target = targets[given(uid)];
  if (target === undefined) return `${page}.locator('body')`;
  const from = target.frame === undefined ? page : frameOf(target, page, framework);
  return `${from}.locator(${text(selectorOf(target, framework))})`;
}

const selectorOf = ({ selectors }: ActionTarget, framework: Framework): string =>
  selectors.join(framework === 'puppeteer' ? ' >>> ' : ' >> ');

function frameOf({ frame = '' }: ActionTarget, page: string, framework: Framework): string {
  if (framework === 'playwright') return `${page}.frame({ url: ${text(frame)} })`;
  return `${page}.frames().find((frame) => frame.url() === ${text(frame)})`;
}

const clickStatements: Statements = (action, page, framework) => {
  const { button, dblClick } = action.args;
  const locator = locatorOf(action, action.args['uid'], page, framework);
  const count = dblClick === true ? [framework === 'puppeteer' ? 'count: 2' : 'clickCount: 2'] : [];
  const options = [...(typeof button === 'string' ? [`button: ${text(button)}`] : []), ...count];
  return [`await ${locator}.click(${options.length === 0 ? '' : `{ ${options.join(', ')} }`});`];
};

interface FieldValue {
  readonly uid: unknown;
  readonly value: unknown;
}

function fillStatement(action: RecordedAction, { uid, value }: FieldValue, page: string, framework: Framework): string {
  const locator = locatorOf(action, uid, page, framework);
  const field = action.targets[given(uid)]?.field;
  if (framework === 'playwright') {
    if (field === 'select') return `await ${locator}.selectOption({ label: ${text(value)} });`;
    return field === 'choice'
      ? `await ${locator}.setChecked(${String(value === 'true')});`
      : `await ${locator}.fill(${text(value)});`;
  }
  if (field === 'choice') {
    return `if ((await ${locator}.map((field) => field.checked).wait()) !== ${String(value === 'true')}) await ${locator}.click();`;
  }
  if (field !== 'select') return `await ${locator}.fill(${text(value)});`;
  const pick = `[...field.options].find((option) => [option.label, option.value].includes(label)).value`;
  return `await ${locator}.fill(await ${locator}.map((field) => { const label = ${text(value)}; return ${pick}; }).wait());`;
}

const formFields = z.array(z.object({ uid: z.string(), value: z.string() }));

const dragStatements: Statements = (action, page, framework) => {
  const [from, to] = ['from_uid', 'to_uid'].map((name) => locatorOf(action, action.args[name], page, framework));
  if (framework === 'playwright') return [`await ${from}.dragTo(${to});`];
  return [`await (await ${from}.waitHandle()).drag(await ${to}.waitHandle());`];
};

const pressStatements: Statements = ({ args }, page, framework) => {
  const { modifiers, key } = parseChord(given(args['key']));
  const names = [...modifiers, ...(key === undefined ? [] : [key.key])];
  if (framework === 'playwright') return [`await ${page}.keyboard.press(${text(names.join('+'))});`];
  const held = names.slice(0, -1);
  return [
    ...held.map((name) => `await ${page}.keyboard.down(${text(name)});`),
    `await ${page}.keyboard.press(${text(names.at(-1))});`,
    ...held.toReversed().map((name) => `await ${page}.keyboard.up(${text(name)});`),
  ];
};

const waitStatements: Statements = ({ args }, page, framework) => {
  const wait = (condition: string, value?: unknown): string[] => {
    const argument = value === undefined ? '' : `, ${framework === 'puppeteer' ? '{}, ' : ''}${text(value)}`;
    return [`await ${page}.waitForFunction(${condition}${argument});`];
  };
  if (args['text'] !== undefined)
    return wait('(texts) => texts.some((text) => document.body.innerText.includes(text))', args['text']);
  if (args['textGone'] !== undefined)
    return wait('(text) => !document.body.innerText.includes(text)', args['textGone']);
  return args['function'] === undefined ? [] : wait(given(args['function']));
};

const navigateStatements: Statements = ({ args }, page) =>
  args['url'] === undefined ? [`await ${page}.reload();`] : [`await ${page}.goto(${text(args['url'])});`];

const resizeStatements: Statements = ({ args: { width, height } }, page, framework) => [
  `await ${page}.${framework === 'puppeteer' ? 'setViewport' : 'setViewportSize'}({ width: ${text(width)}, height: ${text(height)} });`,
];

const uploadStatements: Statements = (action, page, framework) => {
  const files = z.array(z.string()).parse(action.args['filePaths']);
  const locator = locatorOf(action, action.args['uid'], page, framework);
  if (framework === 'playwright') return [`await ${locator}.setInputFiles(${text(files)});`];
  return [`await (await ${locator}.waitHandle()).uploadFile(${files.map(text).join(', ')});`];
};

const typeStatements: Statements = ({ args: { text: typed, submitKey } }, page) => [
  `await ${page}.keyboard.type(${text(typed)});`,
  ...(submitKey === undefined ? [] : [`await ${page}.keyboard.press(${text(submitKey)});`]),
];

const pointerStatements: Statements = ({ args }, page, framework) => {
  const { action, x, y, inScreenshot } = args;
  // Its pixels are those of a picture that the script does not take.
  if (inScreenshot === true) return leftOut('pointer');
  const at = `${text(x)}, ${text(y)}`;
  if (action === 'click') return [`await ${page}.mouse.click(${at});`];
  const move = `await ${page}.mouse.move(${at});`;
  if (action === 'drag') return [move, ...dragThrough(given(args['to']), page)];
  if (action !== 'wheel') return [move];
  const [right, down] = [text(args['deltaX'] ?? 0), text(args['deltaY'] ?? 0)];
  const delta = framework === 'puppeteer' ? `{ deltaX: ${right}, deltaY: ${down} }` : `${right}, ${down}`;
  return [move, `await ${page}.mouse.wheel(${delta});`];
};

function dragThrough(to: string, page: string): string[] {
  const points = to.trim().split(/\s+/);
  return [
    `await ${page}.mouse.down();`,
    ...points.map((point) => `await ${page}.mouse.move(${point.replace(',', ', ')}, { steps: 8 });`),
    `await ${page}.mouse.up();`,
  ];
}

const scrollStatements: Statements = (action, page, framework) => {
  const { uid, direction, pixels, toEnd } = action.args;
  if (uid !== undefined) {
    // What scrolls around an element is found only when it is done.
    if (direction !== undefined || pixels !== undefined || toEnd !== undefined) return leftOut('scroll');
    const locator = locatorOf(action, uid, page, framework);
    return framework === 'playwright'
      ? [`await ${locator}.scrollIntoViewIfNeeded();`]
      : [`await (await ${locator}.waitHandle()).scrollIntoView();`];
  }
  const isAcross = direction === 'left' || direction === 'right';
  const [axis, size] = isAcross ? ['left', 'innerWidth'] : ['top', 'innerHeight'];
  const way = toEnd === true ? '1e9' : pixels === undefined ? `0.8 * ${size}` : text(pixels);
  const sign = direction === 'up' || direction === 'left' ? '-' : '';
  return [`await ${page}.evaluate(() => scrollBy({ ${axis}: ${sign}${way}, behavior: 'instant' }));`];
};

/** An init script as `add_init_script` runs it: a function is called. */
function asStatements(script: string): string {
  if (!functionStart.test(script)) return script;
  const called = `(${script}\n)()`;
  try {
    new Script(called);
    return called;
  } catch {
    return script;
  }
}

const initScriptStatements: Statements = ({ args: { script } }, page, framework) => {
  if (typeof script !== 'string') return leftOut('add_init_script with remove');
  const source = text(asStatements(script));
  return framework === 'playwright'
    ? [`await ${page}.addInitScript({ content: ${source} });`]
    : [`await ${page}.evaluateOnNewDocument(${source});`];
};

const emulateArgs = z.object({
  viewport: z
    .object({
      width: z.number(),
      height: z.number(),
      deviceScaleFactor: z.number().optional(),
      mobile: z.boolean().optional(),
      touch: z.boolean().optional(),
    })
    .optional(),
  colorScheme: z.string().optional(),
  reducedMotion: z.boolean().optional(),
  extraHttpHeaders: z.record(z.string(), z.string()).optional(),
  geolocation: z.object({ latitude: z.number(), longitude: z.number() }).optional(),
});

const emulateStatements: Statements = ({ args }, page, framework) => {
  const { viewport, colorScheme, reducedMotion, extraHttpHeaders, geolocation, ...others } = emulateArgs
    .loose()
    .parse(args);
  const isPuppeteer = framework === 'puppeteer';
  return [
    ...(viewport === undefined ? [] : [viewportStatement(viewport, page, isPuppeteer)]),
    ...mediaStatements({ colorScheme, reducedMotion }, page, isPuppeteer),
    ...(extraHttpHeaders === undefined ? [] : [`await ${page}.setExtraHTTPHeaders(${text(extraHttpHeaders)});`]),
    ...(geolocation === undefined ? [] : locationStatements(geolocation, page, isPuppeteer)),
    ...Object.keys(others).flatMap((name) => leftOut(`emulate ${name}`)),
  ];
};

type EmulateArgs = z.infer<typeof emulateArgs>;

function viewportStatement(viewport: NonNullable<EmulateArgs['viewport']>, page: string, isPuppeteer: boolean): string {
  const { width, height, deviceScaleFactor = 1, mobile = false, touch = mobile } = viewport;
  return isPuppeteer
    ? `await ${page}.setViewport(${text({ width, height, deviceScaleFactor, isMobile: mobile, hasTouch: touch })});`
    : `await ${page}.setViewportSize(${text({ width, height })});`;
}

function mediaStatements(
  { colorScheme, reducedMotion }: Pick<EmulateArgs, 'colorScheme' | 'reducedMotion'>,
  page: string,
  isPuppeteer: boolean,
): string[] {
  if (colorScheme === undefined && reducedMotion === undefined) return [];
  const motion = reducedMotion === undefined ? undefined : reducedMotion ? 'reduce' : 'no-preference';
  const none = isPuppeteer ? '' : null;
  const scheme = colorScheme === 'auto' ? none : colorScheme;
  if (!isPuppeteer) return [`await ${page}.emulateMedia(${text({ colorScheme: scheme, reducedMotion: motion })});`];
  const features = [
    { name: 'prefers-color-scheme', value: scheme },
    { name: 'prefers-reduced-motion', value: motion },
  ];
  return [`await ${page}.emulateMediaFeatures(${text(features.filter(({ value }) => value !== undefined))});`];
}

function locationStatements(location: object, page: string, isPuppeteer: boolean): string[] {
  const context = `${page}.${isPuppeteer ? 'browserContext' : 'context'}()`;
  const grant = isPuppeteer
    ? `await ${context}.overridePermissions(new URL(${page}.url()).origin, ['geolocation']);`
    : `await ${context}.grantPermissions(['geolocation']);`;
  return [grant, `await ${isPuppeteer ? page : context}.setGeolocation(${text(location)});`];
}

const statementsOf: Readonly<Record<string, Statements>> = {
  navigate_page: navigateStatements,
  navigate_page_history: ({ args }, page) => [
    `await ${page}.${args['navigate'] === 'back' ? 'goBack' : 'goForward'}();`,
  ],
  new_page: navigateStatements,
  resize_page: resizeStatements,
  wait_for: waitStatements,
  click: clickStatements,
  hover: (action, page, framework) => [`await ${locatorOf(action, action.args['uid'], page, framework)}.hover();`],
  drag: dragStatements,
  fill: (action, page, framework) => [
    fillStatement(action, { uid: action.args['uid'], value: action.args['value'] }, page, framework),
  ],
  fill_form: (action, page, framework) =>
    formFields.parse(action.args['elements']).map((field) => fillStatement(action, field, page, framework)),
  upload_file: uploadStatements,
  press_key: pressStatements,
  type_text: typeStatements,
  pointer: pointerStatements,
  scroll: scrollStatements,
  add_init_script: initScriptStatements,
  emulate: emulateStatements,
  evaluate_script: ({ args }, page) =>
    z.array(z.unknown()).min(1).safeParse(args['args']).success
      ? leftOut('evaluate_script with args')
      : [`await ${page}.evaluate(${given(args['function'])});`],
  handle_dialog: () => [],
};

/** Runs a tool, and keeps what it did for the script of the session. The elements are located before they change. */
export async function recordAction(
  tool: Tool,
  args: Readonly<Record<string, unknown>>,
  { browser, page }: { readonly browser: SessionBrowser; readonly page: SessionPage | undefined },
  run: () => Promise<Answer>,
): Promise<Answer> {
  const { name } = tool;
  const isRepeated = name in statementsOf;
  if (!isRepeated && !isMissed(tool)) return run();
  const targets = page === undefined || !isRepeated ? {} : await locateTargets(page, args);
  const answer = await run();
  const { pageId, openedPages = [] } = openedSchema.parse(answer.structured ?? {});
  const id = page?.id ?? pageId;
  const kept = isRepeated ? args : {};
  if (id !== undefined) browser.actions.add({ tool: name, pageId: id, args: kept, targets, opened: openedPages });
  return answer;
}

/** Groups of tools that change what pages do. */
const actingGroups: readonly string[] = ['pages', 'input', 'network', 'emulation', 'storage'];
const unseen: readonly string[] = ['select_page', 'list_downloads'];

/** Whether a script without it does something else. */
const isMissed = ({ name, group, annotations }: Tool): boolean =>
  !annotations.readOnlyHint && actingGroups.includes(group) && !unseen.includes(name);

const openedSchema = z.object({ pageId: z.number().optional(), openedPages: z.array(z.number()).optional() });

const newContext: Readonly<Record<Framework, string>> = {
  puppeteer: 'await browser.createBrowserContext()',
  playwright: 'await browser.newContext()',
};

const heads: Readonly<Record<Framework, readonly string[]>> = {
  puppeteer: [
    `import puppeteer from 'puppeteer';`,
    '',
    'const browser = await puppeteer.launch();',
    `const context = ${newContext.puppeteer};`,
  ],
  playwright: [
    `import { chromium } from 'playwright';`,
    '',
    'const browser = await chromium.launch();',
    `const context = ${newContext.playwright};`,
  ],
};

interface SessionScript {
  readonly script: string;
  /** What it does not repeat, each once. */
  readonly leftOut: readonly string[];
}

/** The actions of a session as a module that repeats them. */
export function scriptOf(actions: readonly RecordedAction[], framework: Framework): SessionScript {
  const lines = [...heads[framework]];
  const missed = new Set<string>();
  const known = new Set<number>();
  /** The variables of contexts, by name. */
  const contexts = new Map<unknown, string>([[undefined, 'context']]);
  for (const [index, action] of actions.entries()) {
    const page = `page${action.pageId}`;
    if (!known.has(action.pageId)) {
      known.add(action.pageId);
      const { context: name } = action.args;
      const context = contexts.get(name) ?? `context${contexts.size + 1}`;
      if (!contexts.has(name)) lines.push('', `const ${context} = ${newContext[framework]};`);
      contexts.set(name, context);
      lines.push('', `const ${page} = await ${context}.newPage();`);
    }
    const next = actions.slice(index + 1).find(({ pageId }) => pageId === action.pageId);
    if (next?.tool === 'handle_dialog') lines.push(dialogStatement(next, page));
    for (const id of action.opened) {
      known.add(id);
      lines.push(`const opened${id} = new Promise((resolve) => ${page}.once('popup', resolve));`);
    }
    const statements = statementsOf[action.tool]?.(action, page, framework) ?? leftOut(action.tool);
    for (const line of statements) if (line.startsWith(leftOutMark)) missed.add(line.slice(leftOutMark.length, -1));
    lines.push(...statements);
    for (const id of action.opened) lines.push(`const page${id} = await opened${id};`);
  }
  const last = `page${actions.at(-1)?.pageId ?? ''}`;
  const script = [...lines, '', restStatement(last, framework), 'await browser.close();', ''].join('\n');
  return { script, leftOut: [...missed] };
}

/** What the last action started is to end before the browser does. */
function restStatement(page: string, framework: Framework): string {
  const waiting =
    framework === 'puppeteer'
      ? 'waitForNetworkIdle({ timeout: 5_000 })'
      : `waitForLoadState('networkidle', { timeout: 5_000 })`;
  return `await ${page}.${waiting}.catch(() => undefined);`;
}

function dialogStatement({ args }: RecordedAction, page: string): string {
  const answer =
    args['action'] === 'accept'
      ? `accept(${args['promptText'] === undefined ? '' : text(args['promptText'])})`
      : 'dismiss()';
  return `${page}.once('dialog', (dialog) => dialog.${answer});`;
}
