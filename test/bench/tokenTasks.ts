import type { Agent } from './tokenAgents.js';

/** What an agent is told to do. Done when the text that the last step answered has `proof` in it. */
export interface Task {
  readonly name: string;
  readonly path: string;
  readonly proof: string;
  /** The calls of an agent that reads before it acts, and looks at what its act changed. */
  steps(agent: Agent): Promise<string>;
}

/** Reads, acts, and reads what has changed. */
async function actAndLook(agent: Agent, act: (agent: Agent) => Promise<unknown>): Promise<string> {
  await agent.read();
  await act(agent);
  return agent.readChanges();
}

export const tasks: readonly Task[] = [
  {
    name: 'log in',
    path: '/login',
    proof: 'Good morning, ada',
    steps: (agent) =>
      actAndLook(agent, async () => {
        await agent.fill([
          ['textbox "User name"', 'ada'],
          ['textbox "Password"', 'pear'],
        ]);
        await agent.click('button "Sign in"');
      }),
  },
  {
    name: 'log in after a wrong password',
    path: '/login',
    proof: 'Good morning, ada',
    steps: async (agent) => {
      await actAndLook(agent, async () => {
        await agent.fill([
          ['textbox "User name"', 'ada'],
          ['textbox "Password"', 'apple'],
        ]);
        await agent.click('button "Sign in"');
      });
      await agent.fill([['textbox "Password"', 'pear']]);
      await agent.click('button "Sign in"');
      return agent.readChanges();
    },
  },
  {
    name: 'find a row of a table',
    path: '/orders',
    proof: 'Customer 3',
    steps: (agent) => agent.find('#1187'),
  },
  { name: 'read a table', path: '/orders', proof: '#1219', steps: (agent) => agent.read() },
  {
    name: 'turn a page of a list',
    path: '/customers',
    proof: 'Grace Hopper',
    steps: (agent) => actAndLook(agent, () => agent.click('button "Next page"')),
  },
  {
    name: 'fill a form',
    path: '/settings',
    proof: 'Saved for Oak in Denmark',
    steps: (agent) =>
      actAndLook(agent, async () => {
        await agent.fill([
          ['textbox "Shop name"', 'Oak'],
          ['textbox "City"', 'Aarhus'],
          ['textbox "Contact mail"', 'a@b.example'],
          ['combobox "Country"', 'Denmark'],
        ]);
        await agent.click('button "Save settings"');
      }),
  },
  {
    name: 'mend what a form complains of',
    path: '/settings',
    proof: 'Saved for Oak',
    steps: async (agent) => {
      await actAndLook(agent, async () => {
        await agent.fill([['textbox "Shop name"', 'Oak']]);
        await agent.click('button "Save settings"');
      });
      await agent.fill([['textbox "Contact mail"', 'a@b.example']]);
      await agent.click('button "Save settings"');
      return agent.readChanges();
    },
  },
  {
    name: 'find why a request failed',
    path: '/reports',
    proof: 'No rate for currency CHF',
    steps: async (agent) => {
      await actAndLook(agent, () => agent.click('button "Load report"'));
      return agent.request('/api/report');
    },
  },
  {
    name: 'find the error behind a button',
    path: '/reports',
    proof: "reading 'map'",
    steps: async (agent) => {
      await actAndLook(agent, () => agent.click('button "Sum up"'));
      return agent.errors();
    },
  },
  {
    name: 'wait for a slow result',
    path: '/reports',
    proof: 'Report 77 is ready',
    steps: async (agent) => {
      await agent.read();
      await agent.click('button "Make report"');
      await agent.waitFor('is ready');
      return agent.readChanges();
    },
  },
  {
    name: 'choose from a list',
    path: '/products',
    proof: '35',
    steps: (agent) => actAndLook(agent, () => agent.fill([['combobox "Size"', 'Large']])),
  },
  {
    name: 'read another tab of a page',
    path: '/products',
    proof: '48 pieces',
    steps: (agent) => actAndLook(agent, () => agent.click('tab "Stock"')),
  },
  {
    name: 'use a menu that hovering opens',
    path: '/products',
    proof: 'Retired',
    steps: async (agent) => {
      await actAndLook(agent, () => agent.hover('button "More"'));
      await agent.click('menuitem "Retire"');
      return agent.readChanges();
    },
  },
  {
    name: 'confirm a dialog',
    path: '/products',
    proof: 'Deleted',
    steps: (agent) =>
      actAndLook(agent, async () => {
        await agent.click('button "Delete product"');
        await agent.acceptDialog();
      }),
  },
  {
    name: 'read a window that a click opens',
    path: '/products',
    proof: '349 euros',
    steps: async (agent) => {
      await agent.read();
      return agent.readWindowOf(await agent.click('button "Preview"'));
    },
  },
  {
    name: 'find an image that is missing',
    path: '/products',
    proof: '/missing.png',
    steps: (agent) => agent.requests(),
  },
  {
    name: 'find a fact in a long page',
    path: '/docs',
    proof: '45 days',
    steps: (agent) => agent.find('refund is possible'),
  },
  { name: 'read a long page', path: '/docs', proof: '45 days', steps: (agent) => agent.read() },
  {
    name: 'pick a suggestion',
    path: '/discounts',
    proof: 'Applied SPRING25',
    steps: async (agent) => {
      await actAndLook(agent, () => agent.type('combobox "Code"', 'SPR'));
      await agent.click('option "SPRING25"');
      await agent.readChanges();
      await agent.click('button "Apply"');
      return agent.readChanges();
    },
  },
  {
    name: 'use a shortcut',
    path: '/discounts',
    proof: 'Search is open',
    steps: (agent) => actAndLook(agent, () => agent.press('Control+k')),
  },
  {
    name: 'read what a page stores',
    path: '/discounts',
    proof: '3 chairs',
    steps: (agent) => agent.evaluate("() => localStorage.getItem('basket')"),
  },
];
