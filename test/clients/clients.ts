/** The Node that npm carries, for clients that want a newer one than this package does. */
export const node22 = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}@22.23.5`;

const sdk = '@modelcontextprotocol/sdk@1.32.2';

/** A client that nobody here wrote. */
export interface RealClient {
  readonly title: string;
  /** Its own package first, at the version that the table shows. */
  readonly packages: readonly string[];
  readonly over: string;
  /** Dependencies of it that are left out, with all that are optional: a client needs none of them. */
  readonly without?: readonly string[];
  /** The file in `drivers/` that uses it, and what that file is to do. */
  readonly driver: string;
  readonly way: string;
  readonly needsNode22: boolean;
  /** Checks that it has no way to. */
  readonly cannot?: readonly string[];
}

/** A program between the official client and this server. */
const bridge = (name: string, over: string, way: string, cannot: readonly string[] = []): RealClient => ({
  title: name.replace(/@[^@]+$/, ''),
  packages: [name, sdk],
  over,
  driver: 'sdk',
  way,
  needsNode22: false,
  cannot,
});

const library = (packages: readonly string[], driver: string, over: string, needsNode22 = false): RealClient => ({
  title: (packages[0] ?? '').replace(/@[^@]+$/, ''),
  packages,
  over,
  driver,
  way: over === 'Streamable HTTP' ? 'http' : over.toLowerCase(),
  needsNode22,
});

const command = (title: string, version: string, way: string, needsNode22 = false): RealClient => ({
  title,
  packages: [`${title}@${version}`],
  over: 'Streamable HTTP',
  driver: 'command',
  way,
  needsNode22,
});

const http = 'Streamable HTTP';

/** The slowest first. */
export const clients: readonly RealClient[] = [
  command('@modelcontextprotocol/inspector', '2.12.0', 'inspector', true),
  command('mcporter', '0.7.3', 'mcporter'),
  bridge('mcp-proxy@6.7.19', 'stdio', 'mcp-proxy'),
  library([sdk], 'sdk', http),
  library([sdk], 'sdk', 'SSE'),
  library([sdk], 'sdk', 'stdio'),
  library(['@modelcontextprotocol/client@2.4.0'], 'sdk2', http),
  library(['@modelcontextprotocol/client@2.4.0'], 'sdk2', 'stdio'),
  library(['@ai-sdk/mcp@2.0.99'], 'aiSdk', http, true),
  library(['@langchain/mcp-adapters@1.1.4', '@langchain/core@1'], 'langchain', http),
  library(['@openai/agents@0.20.0'], 'openaiAgents', http),
  library(['@openai/agents@0.20.0'], 'openaiAgents', 'SSE'),
  library(['@mastra/mcp@2.0.0'], 'mastra', http, true),
  // The last version with a client: its command line, its inspector and another JavaScript engine take half a gigabyte.
  {
    ...library(['mcp-use@1.34.6'], 'mcpUse', http),
    without: ['@mcp-use/cli', '@mcp-use/inspector', 'posthog-js'],
  },
  bridge('mcp-remote@0.15.1', http, 'mcp-remote'),
  // It passes on no notification of a server.
  bridge('supergateway@4.0.0', http, 'supergateway-http', ['progress']),
  bridge('supergateway@4.0.0', 'SSE', 'supergateway-sse', ['progress']),
  command('opencode-ai', '1.18.33', 'opencode'),
  command('@google/gemini-cli', '0.61.0', 'gemini'),
  command('@qwen-code/qwen-code', '0.24.4', 'qwen', true),
];
