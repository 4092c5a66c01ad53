import { shortenText } from '../text.js';

/** Which messages a client gets, and which it may send. */
export interface ClientProfile {
  /** The name of the row: `?profile=NAME`, and the label of metrics. */
  readonly name: string;
  /** Also `structuredContent` and output schemas: for programs. */
  readonly structured: boolean;
  /** `common`: the part of JSON Schema that every provider of models takes. `full`: all that is known of an argument. */
  readonly schemas: 'common' | 'full';
  /** Bytes of one picture before it is written in base64. */
  readonly pictureBytes: number;
  /** Real pixels of the longer side of a picture. */
  readonly picturePixels: number;
  /** Tools that the client gives its model; a longer list begins with the most needed ones. 0: no bound. */
  readonly tools: number;
  /** Whether arguments with one possible reading are accepted although they are not as the schema says. */
  readonly tolerant: boolean;
}

interface KnownClient extends ClientProfile {
  /** `clientInfo.name` in lower case; `*` at the end stands for any rest. */
  readonly clients: readonly string[];
  /** Where the client's behaviour is reported. */
  readonly sources: readonly string[];
}

/** An unknown client: the most tolerant row. */
const unknownClient: ClientProfile = {
  name: 'unknown',
  structured: false,
  schemas: 'common',
  pictureBytes: 3_900_000,
  picturePixels: 8_000,
  tools: 0,
  tolerant: true,
};

const github = (path: string): string => `https://github.com/${path}`;

/** The known clients. A row differs from that of an unknown client only where a report says so. */
const knownClients: readonly KnownClient[] = [
  {
    ...unknownClient,
    name: 'greenroom',
    clients: ['greenroom-selftest'],
    structured: true,
    sources: ['src/selftest'],
  },
  {
    ...unknownClient,
    name: 'inspector',
    clients: ['mcp-inspector', 'inspector-client', 'inspector-cli'],
    structured: true,
    schemas: 'full',
    tolerant: false,
    sources: [github('modelcontextprotocol/inspector')],
  },
  {
    ...unknownClient,
    name: 'claude-code',
    clients: ['claude-code'],
    picturePixels: 2_000,
    sources: [github('anthropics/claude-code/issues/54737'), github('anthropics/claude-code/issues/50530')],
  },
  {
    ...unknownClient,
    name: 'claude-desktop',
    clients: ['claude-ai', 'claude-ai (*'],
    pictureBytes: 700_000,
    picturePixels: 2_000,
    sources: [github('CursorTouch/Windows-MCP/issues/155'), github('trycua/cua/issues/884')],
  },
  {
    ...unknownClient,
    name: 'copilot',
    clients: ['github-copilot-developer', 'copilot-cli', 'github copilot*'],
    sources: [github('github/copilot-cli/issues/4515')],
  },
  {
    ...unknownClient,
    name: 'vscode',
    clients: ['visual studio code*'],
    tools: 128,
    sources: [github('microsoft/vscode/issues/254329'), github('microsoft/vscode-copilot-release/issues/11653')],
  },
  {
    ...unknownClient,
    name: 'cursor',
    clients: ['cursor', 'cursor-vscode'],
    tools: 40,
    sources: [github('anyproto/anytype-mcp/issues/5')],
  },
  {
    ...unknownClient,
    name: 'windsurf',
    clients: ['windsurf', 'windsurf-client'],
    tools: 100,
    sources: [github('bun913/mcp-testrail/issues/6')],
  },
  {
    ...unknownClient,
    name: 'gemini-cli',
    clients: ['gemini-cli*'],
    sources: [github('google-gemini/gemini-cli/issues/5388')],
  },
  {
    ...unknownClient,
    name: 'codex',
    clients: ['codex-mcp-client'],
    sources: [github('openai/codex/issues/26955')],
  },
  {
    ...unknownClient,
    name: 'n8n',
    clients: ['@n8n/*', 'n8n*'],
    sources: [github('n8n-io/n8n/issues/21500'), github('n8n-io/n8n/issues/21716')],
  },
];

/** Every row, that of unknown clients last. */
export const clientProfiles: readonly KnownClient[] = [
  ...knownClients,
  { ...unknownClient, clients: ['*'], sources: [] },
];

/** The names of the rows: a closed set, for labels. */
export const profileNames = clientProfiles.map(({ name }) => name);

/** The choice of an operator or a connection: a profile, and fields that differ from it. */
export interface ProfileChoice {
  readonly row?: ClientProfile;
  readonly fields: Partial<ClientProfile>;
}

export const noProfileChoice: ProfileChoice = { fields: {} };

export class UnknownProfileError extends Error {
  constructor(word: string) {
    super(
      `Unknown client profile "${shortenText(word, 100).toWellFormed()}". Profiles: ${profileNames.join(', ')}; or fields: ` +
        'structured=1, schemas=full, pictureBytes=500000, picturePixels=2000, tools=40, tolerant=0.',
    );
    this.name = 'UnknownProfileError';
  }
}

/** Parses a row's name and fields, separated by commas: `claude-code,pictureBytes=500000`. Throws `UnknownProfileError`. */
export function parseProfileChoice(text: string): ProfileChoice {
  let row: ClientProfile | undefined;
  const fields: { [Field in keyof ClientProfile]?: ClientProfile[Field] } = {};
  for (const word of text.split(',').filter(Boolean)) {
    const [name = '', value] = word.split('=', 2);
    if (value === undefined) row = requireRow(name);
    else Object.assign(fields, fieldOf(word, name, value));
  }
  return { fields, ...(row && { row }) };
}

function requireRow(name: string): ClientProfile {
  const row = clientProfiles.find((candidate) => candidate.name === name);
  if (row === undefined) throw new UnknownProfileError(name);
  return row;
}

function fieldOf(word: string, name: string, value: string): Partial<ClientProfile> {
  if (name === 'structured' || name === 'tolerant') {
    if (/^(1|true|yes)$/.test(value)) return { [name]: true };
    if (/^(0|false|no)$/.test(value)) return { [name]: false };
  }
  if (name === 'schemas' && (value === 'common' || value === 'full')) return { schemas: value };
  const number = /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  if (number !== undefined && (name === 'tools' || (number >= 100 && /^picture(Bytes|Pixels)$/.test(name)))) {
    return { [name]: number };
  }
  throw new UnknownProfileError(word);
}

/** The profile of a client: the choice of its connection, otherwise of the operator, otherwise of the table. */
export function profileOf(clientName: string, operator: ProfileChoice, connection: ProfileChoice): ClientProfile {
  const row = connection.row ?? operator.row ?? rowOf(clientName.toLowerCase());
  return { ...row, ...operator.fields, ...connection.fields };
}

function rowOf(clientName: string): ClientProfile {
  const isClient = (pattern: string): boolean =>
    pattern.endsWith('*') ? clientName.startsWith(pattern.slice(0, -1)) : clientName === pattern;
  return clientProfiles.find(({ clients }) => clients.some(isClient)) ?? unknownClient;
}
