import { isMet, type Figure } from './report.js';

/** What takes the time of figures that miss what is wanted, what was done about it, and what was tried and left. */
const reasons: readonly (readonly [of: RegExp, why: string])[] = [
  [
    /^sessions .*: (plainSdk|bare)$/,
    'What is left to reach is in the table of limits: bare node:http and the session chart together, without inspection, ' +
      'transport or protocol between them. The rest is node itself, the inspection stream, and the garbage of both. ' +
      'Done: tables of tools and methods shared by all sessions in place of a server object each, the list of tools written ' +
      'as the same bytes for all, plain listeners in front of express, head and endpoint in one write, controllers, maps and ' +
      'queues made at first use, one timer a session, actors for the tools and the claim only where they are waited for, ' +
      'no line made for a log level that is off. Left: the actor of the browser lease, which owns what it releases.',
  ],
  [
    /^pings .*: bare$/,
    'A fifth of it are the two writes, a fifth XState: two events, two microsteps and four observations are a ping; the table ' +
      'of limits has what the chart alone costs. Done, from 0.16 to 0.22 of bare: four microsteps to two, an answer in one ' +
      'write, a signal made when it is wanted, Host and credentials parsed once, folds without copies (1.1 µs of a ping), queries ' +
      'read when they are asked for, two listeners on the end of an answer in place of four (a tenth of a ping over Streamable HTTP). ' +
      'Left: delivery beside the actor, since its order and refusals are the promises S3 and S4.',
  ],
  [
    /^pings stateless : streamable/,
    'A request of 2026-07-28 says in each message what a session says once: revision, client and capabilities are read and ' +
      'checked again, which is the greater share of src/mcp, src/transport and zod in the table of profiles. It saves the chart.',
  ],
  [
    /^navigate /,
    'Both wait for the load, of which most of it is; then this server waits until nothing has changed for 60 ms, the other for ' +
      '100 ms. Tried: less than 60 ms misses what a timer of 50 ms renders, and a test says so.',
  ],
  [
    /^snapshot (?!again)/,
    "Most of it is the browser's own Accessibility.getFullAXTree (2.6 MB of JSON for 6,500 nodes: 340 ms, of a new page 500), " +
      'which both ask for. This server adds what can be clicked (DOMSnapshot.captureSnapshot, 70 ms), the folding of rows and ' +
      'wrappers (60 to 100), and whether the page stood still (30), for which the next snapshot takes a quarter. Tried: the ' +
      'Accessibility domain switched on beforehand is not faster, and would slow the page; no parameter leaves out the text ' +
      'boxes, a third of the nodes; to parse the response at once is not faster than in slices.',
  ],
  [
    /^(click|fill) /,
    'Both wait for what the action causes: this server until nothing has changed for 60 ms, the other for 100 ms and a navigation. ' +
      'Tried: less than 60 ms misses what a timer of 50 ms renders.',
  ],
  [
    /^listedBytes /,
    'More than half of what is listed are the output schemas, which a model is not given; the other server has none. The line ' +
      'below counts what a model is given.',
  ],
  [
    /^heap of an idle session/,
    'A third is what bare node:http holds of the same two connections; the rest are two actors with their snapshots, and the ' +
      "inspector's record. Done, from 38: no server object, no closures over the catalogue, maps, stores and what is kept of pages at first use.",
  ],
  [
    /^resident of an idle session/,
    "The open socket, its buffers and the heap's slack are resident beside what is live, which is the line above.",
  ],
  [
    /^processor time of a ping, \w+, (2 nodes|3 nodes|another node)/,
    'The cores are shared by all nodes: each of several is idle more often, and wakes for one message where one node takes several ' +
      'at a time. A message of /sse for another node costs its three round trips, and the way back of its answer.',
  ],
  [
    /^(first tool|back after a while), \d+ with pages/,
    'Four sessions at a time share two cores for as long as it takes, so that no spare is ever ready: each waits for the ' +
      'renderers or browsers of three others. One alone, measured beside: its page is there 0.25 s after it connects where a ' +
      'context is ready, 0.3 s where a process is; without a spare after 0.6 s and 2.8 s, of which the start of a renderer or of ' +
      'Chrome is all but 0.1 s. A page that comes back needs a new renderer, too. Left: more spares, which cost their memory.',
  ],
];

/** A paragraph for each kind of figure that is not met. */
export function explain(figures: readonly Figure[]): string {
  const unmet = figures.filter((figure) => !isMet(figure));
  const paragraphs = reasons.flatMap(([of, why]) => {
    const names = unmet.filter(({ name }) => of.test(name)).map(({ name }) => name);
    return names.length === 0 ? [] : [`Not met: ${names.join('; ')}. ${why}`];
  });
  return paragraphs.join('\n\n');
}
