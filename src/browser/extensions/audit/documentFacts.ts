import { Tokenizer } from 'htmlparser2';

export interface DocumentLink {
  readonly kind: 'script' | 'style' | 'image' | 'page';
  readonly path: string;
  readonly offset: number;
  readonly isModule: boolean;
}

/** What a document loads and holds. */
export interface DocumentFacts {
  readonly path: string;
  readonly text: string;
  readonly links: readonly DocumentLink[];
  /** Scripts that stand in the document and would be run. */
  readonly inlineScripts: readonly { readonly offset: number; readonly text: string; readonly isModule: boolean }[];
  /** Attributes such as `onclick`. */
  readonly handlers: readonly { readonly name: string; readonly offset: number }[];
  /** `javascript:` addresses. */
  readonly scriptAddresses: readonly number[];
}

interface Tag {
  readonly name: string;
  readonly offset: number;
  readonly attributes: Map<string, { readonly value: string; readonly offset: number }>;
}

/** Types of scripts that browsers run. */
const scriptTypes = new Set([
  '',
  'module',
  'text/javascript',
  'application/javascript',
  'text/ecmascript',
  'application/ecmascript',
  'application/x-javascript',
]);

const chunkChars = 65_536;

/** Reads a document by its tokens, in linear time. */
export function documentFacts(path: string, text: string): DocumentFacts {
  const facts = {
    ...{ path, text },
    links: [] as DocumentLink[],
    inlineScripts: [] as { offset: number; text: string; isModule: boolean }[],
    handlers: [] as { name: string; offset: number }[],
    scriptAddresses: [] as number[],
  };
  let tag: Tag | undefined;
  let attribute: { name: string; offset: number; parts: string[] } | undefined;
  /** An open script, and where its text began. */
  let script: { tag: Tag; begin: number } | undefined;
  /** Elements whose contents are not of this document. */
  let templates = 0;
  const openTag = (end: number): void => {
    if (tag === undefined) return;
    if (tag.name === 'template') templates += 1;
    if (templates === 0) addTag(tag, facts);
    script = tag.name === 'script' ? { tag, begin: end + 1 } : undefined;
    tag = undefined;
  };
  const none = (): void => undefined;
  const tokenizer = new Tokenizer(
    { xmlMode: false, decodeEntities: true },
    {
      onopentagname: (start, end) =>
        (tag = { name: text.slice(start, end).toLowerCase(), offset: start - 1, attributes: new Map() }),
      onattribname: (start, end) =>
        (attribute = { name: text.slice(start, end).toLowerCase(), offset: start, parts: [] }),
      onattribdata: (start, end) => attribute?.parts.push(text.slice(start, end)),
      onattribentity: (codePoint) => attribute?.parts.push(String.fromCodePoint(codePoint)),
      onattribend: () => {
        if (attribute && tag && !tag.attributes.has(attribute.name))
          tag.attributes.set(attribute.name, { value: attribute.parts.join(''), offset: attribute.offset });
        attribute = undefined;
      },
      onopentagend: openTag,
      onselfclosingtag: openTag,
      onclosetag: (start, end) => {
        const name = text.slice(start, end).toLowerCase();
        if (name === 'template' && templates > 0) templates -= 1;
        if (name === 'script' && script && templates === 0)
          addInline(script, text.slice(script.begin, start - 2), facts);
        if (name === 'script') script = undefined;
      },
      ...{
        oncdata: none,
        oncomment: none,
        ondeclaration: none,
        onend: none,
        onprocessinginstruction: none,
        ontext: none,
      },
      ontextentity: none,
    },
  );
  for (let at = 0; at < text.length; at += chunkChars) tokenizer.write(text.slice(at, at + chunkChars));
  tokenizer.end();
  return facts;
}

interface Growing extends DocumentFacts {
  readonly links: DocumentLink[];
  readonly inlineScripts: { offset: number; text: string; isModule: boolean }[];
  readonly handlers: { name: string; offset: number }[];
  readonly scriptAddresses: number[];
}

/** Where documents name files: element, attribute and what it is. */
const linkAttributes: readonly (readonly [string, string, DocumentLink['kind']])[] = [
  ['img', 'src', 'image'],
  ['input', 'src', 'image'],
  ['iframe', 'src', 'page'],
  ['frame', 'src', 'page'],
  ['a', 'href', 'page'],
];

function addTag({ name, offset, attributes }: Tag, facts: Growing): void {
  const valueOf = (key: string): string => attributes.get(key)?.value.trim() ?? '';
  const add = (kind: DocumentLink['kind'], path: string, isModule = false): void => {
    if (path !== '') facts.links.push({ kind, path, offset, isModule });
  };
  for (const [key, { value, offset: at }] of attributes) {
    if (/^on[a-z]+$/.test(key) && value.trim() !== '') facts.handlers.push({ name: key, offset: at });
    if ((key === 'href' || key === 'src') && /^\s*javascript:(?!\s*(?:void|;|$))/i.test(value))
      facts.scriptAddresses.push(at);
  }
  const type = valueOf('type').toLowerCase();
  if (name === 'script' && scriptTypes.has(type)) add('script', valueOf('src'), type === 'module');
  if (name === 'link') {
    const relations = valueOf('rel').toLowerCase().split(/\s+/);
    if (relations.includes('stylesheet')) add('style', valueOf('href'));
    else if (relations.includes('icon')) add('image', valueOf('href'));
    else if (relations.includes('modulepreload')) add('script', valueOf('href'), true);
  }
  for (const [element, attribute, kind] of linkAttributes) if (element === name) add(kind, valueOf(attribute));
}

function addInline({ tag, begin }: { tag: Tag; begin: number }, text: string, { inlineScripts }: Growing): void {
  const type = (tag.attributes.get('type')?.value ?? '').trim().toLowerCase();
  if (tag.attributes.has('src') || !scriptTypes.has(type) || text.trim() === '') return;
  inlineScripts.push({ offset: begin, text, isModule: type === 'module' });
}

/** The files that a style sheet names: what it imports, and what it shows. */
export function styleLinks(text: string): { path: string; offset: number; isImport: boolean }[] {
  const links: { path: string; offset: number; isImport: boolean }[] = [];
  let [at, isImport] = [0, false];
  while (at < text.length) {
    const rest = text.slice(at, at + 8).toLowerCase();
    if (rest.startsWith('/*')) at = after(text, '*/', at + 2);
    else if (rest[0] === '"' || rest[0] === "'") {
      const end = after(text, rest[0], at + 1);
      if (isImport) links.push({ path: text.slice(at + 1, end - 1), offset: at, isImport });
      isImport = false;
      at = end;
    } else if (rest.startsWith('url(')) {
      const end = after(text, ')', at + 4);
      const path = text
        .slice(at + 4, end - 1)
        .trim()
        .replace(/^["']|["']$/g, '');
      links.push({ path, offset: at, isImport });
      isImport = false;
      at = end;
    } else {
      if (rest.startsWith('@import')) isImport = true;
      else if (rest[0] === ';' || rest[0] === '{') isImport = false;
      at += 1;
    }
  }
  return links;
}

function after(text: string, end: string, from: number): number {
  const found = text.indexOf(end, from);
  return found === -1 ? text.length + end.length : found + end.length;
}
