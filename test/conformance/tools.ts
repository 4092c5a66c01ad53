import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineTextTool, ToolError, type Client, type Content, type Tool } from '../../src/index.js';
import { redPixel, silence } from './media.js';

const nothing = z.strictObject({});

/** A tool that answers the same each time. */
const constant = (name: string, description: string, text: string, content: readonly Content[]): Tool =>
  defineTextTool({ name, description, input: nothing, handler: () => ({ text, content }) });

const contentTools: readonly Tool[] = [
  constant('test_simple_text', 'Answers a text', 'This is a simple text response for testing.', []),
  constant('test_image_content', 'Answers a picture', '', [redPixel]),
  constant('test_audio_content', 'Answers a sound', '', [silence]),
  constant('test_embedded_resource', 'Answers a resource with its content', '', [
    {
      type: 'resource',
      resource: {
        uri: 'test://embedded-resource',
        mimeType: 'text/plain',
        text: 'This is an embedded resource content.',
      },
    },
  ]),
  constant('test_multiple_content_types', 'Answers text, picture and resource', 'Multiple content types test:', [
    redPixel,
    {
      type: 'resource',
      resource: {
        uri: 'test://mixed-content-resource',
        mimeType: 'application/json',
        text: '{"test":"data","value":123}',
      },
    },
  ]),
];

const runningTools: readonly Tool[] = [
  defineTextTool({
    name: 'test_tool_with_logging',
    description: 'Logs three times while it runs',
    input: nothing,
    async handler(_args, { client, signal }) {
      client.log('info', 'Tool execution started');
      await pause(50, undefined, { signal });
      client.log('info', 'Tool processing data');
      await pause(50, undefined, { signal });
      client.log('info', 'Tool execution completed');
      return 'Logged three times.';
    },
  }),
  defineTextTool({
    name: 'test_tool_with_progress',
    description: 'Tells its progress three times while it runs',
    input: nothing,
    async handler(_args, { progress, signal }) {
      progress(0, 100);
      await pause(50, undefined, { signal });
      progress(50, 100);
      await pause(50, undefined, { signal });
      progress(100, 100);
      return 'Told its progress three times.';
    },
  }),
  defineTextTool({
    name: 'test_error_handling',
    description: 'Always fails',
    input: nothing,
    handler: () => Promise.reject(new ToolError('This tool intentionally returns an error for testing')),
  }),
  defineTextTool({
    name: 'test_reconnection',
    description: 'Ends the connection of its call; the client comes back for the answer',
    input: nothing,
    async handler(_args, { client, signal }) {
      client.suspend(100);
      await pause(200, undefined, { signal });
      return 'The client came back.';
    },
  }),
];

const addressed = z.strictObject({
  ...{ name: z.string().optional(), contactMethod: z.enum(['phone', 'email']).optional() },
  ...{ phone: z.string().optional(), email: z.string().optional() },
  address: z.object({ street: z.string().optional(), city: z.string().optional() }).optional(),
});

const schemaTool = defineTextTool({
  name: 'json_schema_2020_12_tool',
  description: 'Has an input schema that is shown to the letter',
  input: addressed,
  inputSchema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'address',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  },
  handler: (args) => JSON.stringify(args),
});

const headerTool = defineTextTool({
  name: 'test_custom_headers',
  description: 'Has an argument that a header repeats',
  input: z.strictObject({ region: z.string().optional(), query: z.string().optional() }),
  inputSchema: {
    type: 'object',
    properties: { region: { type: 'string', 'x-mcp-header': 'Region' }, query: { type: 'string' } },
    required: ['region'],
  },
  handler: ({ region = 'nowhere' }) => `Served in ${region}.`,
});

/** Asks with a form, and says what came back. */
async function elicit(client: Client, message: string, form: z.ZodObject): Promise<string> {
  const answer = await client.elicit({ message, form });
  const content = answer.action === 'accept' ? answer.content : {};
  return `Elicitation completed: action=${answer.action}, content=${JSON.stringify(content)}`;
}

const withDefaults = z.object({
  name: z.string().default('John Doe'),
  age: z.int().default(30),
  score: z.number().default(95.5),
  status: z.enum(['active', 'inactive', 'pending']).default('active'),
  verified: z.boolean().default(true),
});

const titled = (...options: (readonly [string, string])[]) =>
  options.map(([value, title]) => ({ const: value, title }));

const withEnums = z.object({
  untitledSingle: z.enum(['option1', 'option2', 'option3']),
  titledSingle: z.string().meta({ oneOf: titled(['value1', 'First'], ['value2', 'Second'], ['value3', 'Third']) }),
  legacyEnum: z.enum(['opt1', 'opt2', 'opt3']).meta({ enumNames: ['Option One', 'Option Two', 'Option Three'] }),
  untitledMulti: z.array(z.enum(['option1', 'option2', 'option3'])),
  titledMulti: z.array(
    z.string().meta({ anyOf: titled(['value1', 'First Choice'], ['value2', 'Second Choice'], ['value3', 'Third']) }),
  ),
});

const askingTools: readonly Tool[] = [
  defineTextTool({
    name: 'test_sampling',
    description: "Asks the client's model",
    input: z.strictObject({ prompt: z.string() }),
    async handler({ prompt }, { client }) {
      const { content } = await client.createMessage({
        messages: [{ role: 'user', content: { type: 'text', text: prompt } }],
        maxTokens: 100,
      });
      const texts = content.map((block) => (block.type === 'text' ? block.text : `(${block.type})`));
      return `LLM response: ${texts.join(' ')}`;
    },
  }),
  defineTextTool({
    name: 'test_elicitation',
    description: 'Asks the person at the client',
    input: z.strictObject({ message: z.string() }),
    async handler({ message }, { client }) {
      const form = z.object({
        username: z.string().describe("User's response"),
        email: z.string().describe("User's email address"),
      });
      const answer = await client.elicit({ message, form });
      return `User response: ${JSON.stringify(answer)}`;
    },
  }),
  defineTextTool({
    name: 'test_elicitation_sep1034_defaults',
    description: 'Asks with a form whose fields have defaults',
    input: nothing,
    handler: (_args, { client }) => elicit(client, 'Review the defaults.', withDefaults),
  }),
  defineTextTool({
    name: 'test_elicitation_sep1330_enums',
    description: 'Asks with a form of choices',
    input: nothing,
    handler: (_args, { client }) => elicit(client, 'Choose.', withEnums),
  }),
];

const nameForm = z.object({ name: z.string() });

const nameOf = async (client: Client, key: string, message = 'What is your name?'): Promise<string> => {
  const answer = await client.elicit({ message, form: nameForm }, { key });
  return answer.action === 'accept' ? answer.content.name : 'nobody';
};

const sample = async (client: Client, key: string, text: string): Promise<string> => {
  const message = { role: 'user', content: { type: 'text', text } } as const;
  const { content } = await client.createMessage({ messages: [message], maxTokens: 100 }, { key });
  return content.map((block) => (block.type === 'text' ? block.text : `(${block.type})`)).join(' ');
};

const rootsOf = async (client: Client, key: string): Promise<string> =>
  (await client.listRoots({ key })).map(({ uri }) => uri).join(' ');

/** A tool that asks its client in rounds. */
const asking = (name: string, description: string, handler: (client: Client) => Promise<string>): Tool =>
  defineTextTool({
    name,
    description,
    input: nothing,
    handler: (_args, { client }) => handler(client),
  });

const prefix = 'test_input_required_result';

/** The tools of the revision without sessions: what they ask is the result of the call. */
const roundTools: readonly Tool[] = [
  asking(`${prefix}_elicitation`, 'Asks for a name', async (client) => `Hello, ${await nameOf(client, 'user_name')}!`),
  asking(`${prefix}_sampling`, 'Asks for a capital', (client) =>
    sample(client, 'capital_question', 'What is the capital of France?'),
  ),
  asking(`${prefix}_list_roots`, 'Asks for the folders', (client) => rootsOf(client, 'client_roots')),
  asking(`${prefix}_request_state`, 'Asks to confirm', async (client) => {
    const { action } = await client.elicit(
      { message: 'Please confirm', form: z.object({ ok: z.boolean() }) },
      { key: 'confirm' },
    );
    return `state-ok, ${action}`;
  }),
  asking(`${prefix}_tampered_state`, 'Asks to confirm, and takes no other state', async (client) => {
    const { action } = await client.elicit(
      { message: 'Please confirm', form: z.object({ ok: z.boolean() }) },
      { key: 'confirm' },
    );
    return action;
  }),
  asking(`${prefix}_multiple_inputs`, 'Asks three things at once', async (client) =>
    (
      await Promise.all([
        nameOf(client, 'user_name'),
        sample(client, 'greeting', 'Generate a greeting'),
        rootsOf(client, 'client_roots'),
      ])
    ).join(', '),
  ),
  asking(`${prefix}_multi_round`, 'Asks one thing after another', async (client) => {
    const name = await nameOf(client, 'step1', 'Step 1: What is your name?');
    const answer = await client.elicit(
      { message: 'Step 2: What is your favorite color?', form: z.object({ color: z.string() }) },
      { key: 'step2' },
    );
    return `${name} likes ${answer.action === 'accept' ? answer.content.color : 'nothing'}.`;
  }),
  asking(`${prefix}_capabilities`, 'Asks what the client can answer', async (client) => {
    const { capabilities } = client;
    const asked = [
      ...(capabilities.forms ? [nameOf(client, 'user_name')] : []),
      ...(capabilities.sampling ? [sample(client, 'greeting', 'Generate a greeting')] : []),
    ];
    return (await Promise.all(asked)).join(', ') || 'Nothing to ask.';
  }),
  asking('test_streaming_elicitation', 'Asks for a name', async (client) => nameOf(client, 'user_name')),
  asking('test_missing_capability', 'Needs a model', async (client) => sample(client, 'needed', 'Hello')),
  asking('test_logging_tool', 'Logs a line', (client) => {
    client.log('info', 'A line');
    return Promise.resolve('Logged.');
  }),
];

const confirmed = z.object({ confirm: z.boolean() });

/** The tools that are answered with a task. */
const taskTools: readonly Tool[] = [
  defineTextTool({
    name: 'greet',
    description: 'Greets at once',
    input: z.strictObject({ name: z.string() }),
    handler: ({ name }) => `Hello, ${name}!`,
  }),
  defineTextTool({
    name: 'slow_compute',
    description: 'Takes so many seconds',
    input: z.strictObject({ seconds: z.number(), label: z.string() }),
    task: { afterMs: 0 },
    timeoutMs: 90_000,
    async handler({ seconds, label }, { signal }) {
      await pause(seconds * 1_000, undefined, { signal });
      return `${label} is done.`;
    },
  }),
  defineTextTool({
    name: 'failing_job',
    description: 'Always fails, later',
    input: nothing,
    task: { afterMs: 0, isRequired: true },
    handler: () => Promise.reject(new ToolError('This job fails.')),
  }),
  defineTextTool({
    name: 'protocol_error_job',
    description: 'Needs folders of a client that has none',
    input: nothing,
    task: { afterMs: 0 },
    handler: async (_args, { client }) => rootsOf(client, 'folders'),
  }),
  defineTextTool({
    name: 'confirm_delete',
    description: 'Asks before it goes on',
    input: z.strictObject({ filename: z.string() }),
    task: { afterMs: 0 },
    async handler({ filename }, { client }) {
      const { action } = await client.elicit({ message: `Delete ${filename}?`, form: confirmed });
      return `${filename}: ${action}`;
    },
  }),
  defineTextTool({
    name: 'multi_input',
    description: 'Asks two things at once',
    input: nothing,
    task: { afterMs: 0 },
    handler: async (_args, { client }) =>
      (await Promise.all([nameOf(client, 'first'), nameOf(client, 'second')])).join(' and '),
  }),
  defineTextTool({
    name: 'test_tool_with_task',
    description: 'Asks first, then takes its time',
    input: nothing,
    task: { afterMs: 100, isRequired: true },
    async handler(_args, { client, signal }) {
      const name = await nameOf(client, 'user_name');
      await pause(400, undefined, { signal });
      return `Done for ${name}.`;
    },
  }),
];

export const conformanceTools: readonly Tool[] = [
  ...contentTools,
  ...runningTools,
  schemaTool,
  headerTool,
  ...askingTools,
  ...roundTools,
  ...taskTools,
];
