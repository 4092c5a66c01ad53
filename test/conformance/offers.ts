import { z } from 'zod';
import { definePrompt, defineResource, type Prompt, type Resource } from '../../src/index.js';
import { redPixel } from './media.js';

const nothing = z.strictObject({});

export const conformanceResources: readonly Resource[] = [
  defineResource({
    uri: 'test://static-text',
    name: 'Static text',
    description: 'A text that never changes',
    mimeType: 'text/plain',
    read: () => 'This is the content of the static text resource.',
  }),
  defineResource({
    uri: 'test://static-binary',
    name: 'Static picture',
    description: 'A picture that never changes',
    mimeType: 'image/png',
    read: () => Buffer.from(redPixel.data, 'base64'),
  }),
  defineResource({
    uri: 'test://watched-resource',
    name: 'Watched resource',
    description: 'A text to subscribe to',
    mimeType: 'text/plain',
    read: () => 'Watched.',
  }),
  defineResource({
    uri: 'test://template/{id}/data',
    name: 'Data by id',
    description: 'A template',
    mimeType: 'application/json',
    complete: { id: () => ['123', '456'] },
    read: ({ id }) => JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
  }),
];

export const conformancePrompts: readonly Prompt[] = [
  definePrompt({
    name: 'test_input_required_result_prompt',
    description: 'A prompt that asks its client first',
    arguments: nothing,
    messages: async (_args, { client }) => {
      const form = z.object({ context: z.string() });
      const answer = await client.elicit(
        { message: 'What context should the prompt use?', form },
        { key: 'user_context' },
      );
      return `Use this context: ${answer.action === 'accept' ? answer.content.context : 'none'}`;
    },
  }),
  definePrompt({
    name: 'test_simple_prompt',
    description: 'A prompt without arguments',
    arguments: nothing,
    messages: () => 'This is a simple prompt for testing.',
  }),
  definePrompt({
    name: 'test_prompt_with_arguments',
    description: 'A prompt with two arguments',
    arguments: z.strictObject({
      arg1: z.string().describe('First test argument'),
      arg2: z.string().describe('Second test argument'),
    }),
    complete: { arg1: () => ['test', 'testing', 'rest'] },
    messages: ({ arg1, arg2 }) => `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`,
  }),
  definePrompt({
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt that brings a resource',
    arguments: z.strictObject({ resourceUri: z.string().describe('The resource to embed') }),
    messages: ({ resourceUri: uri }) => [
      {
        role: 'user',
        content: {
          type: 'resource',
          resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
        },
      },
      { role: 'user', content: { type: 'text', text: 'Please process the embedded resource above.' } },
    ],
  }),
  definePrompt({
    name: 'test_prompt_with_image',
    description: 'A prompt that brings a picture',
    arguments: nothing,
    messages: () => [
      { role: 'user', content: redPixel },
      { role: 'user', content: { type: 'text', text: 'Please analyze the image above.' } },
    ],
  }),
];
