import { isMet, type Figure } from './report.js';

/** What takes the time of figures that miss what is wanted, what was done about it, and what was tried and left. */
const reasons: readonly (readonly [of: RegExp, why: string])[] = [
  [
    /^sessions .*: (plainSdk|bare)$/,
    'The limit is in the table of limits: bare node:http and the session chart together, without a protocol between them, are ' +
      'less than 5 x the plain SDK and 0.8 x bare. The rest is the inspection stream (an eighth), HTTP, and the protocol. Done, ' +
      'from 0.15 to 0.22 of bare: tables of tools and methods shared by all sessions in place of a server object each, plain ' +
      'listeners in front of express, head and endpoint in one write, controllers, maps and queues made at first use, one ' +
      'timer a session. Left: a session without child actors, since what is invoked is what the chart shows and stops.',
  ],
  [
    /^pings .*: bare$/,
    'Two events, three microsteps and four observations of the actor are a ping; the table of limits has what the chart alone ' +
      'costs. Done, from 0.16 to 0.27 of bare: four microsteps to three, an answer in one write, a signal made when it is ' +
      'wanted, Host and credentials parsed once, folds without copies (1.1 µs of a ping). Left: delivery beside the actor, ' +
      'since its order and refusals are the promises S3 and S4.',
  ],
  [
    /^navigate /,
    'Both wait for the load; then this server waits until nothing has changed for 60 ms, the other for 100 ms, so the longer ' +
      'the load the closer they are. Tried: less than 60 ms misses what a timer of 50 ms renders, and a test says so.',
  ],
  [
    /^snapshot /,
    "Most of it is the browser's own Accessibility.getFullAXTree (2.6 MB of JSON for 6,500 nodes), which both ask for; this " +
      'server adds about 10 ms of asking how big the page is and 12 of folding. Tried: the Accessibility domain switched on ' +
      'beforehand is not faster, and would slow the page; no parameter leaves out the text boxes, a third of the nodes.',
  ],
  [
    /resident of an idle session/,
    "Sockets, their buffers and the heap's slack are resident beside what is live; the heap of a session is the line above.",
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
