import Sequencer from '@jest/test-sequencer';

// Real browsers and whole servers. A fresh clone has no durations of an earlier run to go by.
const slow = [
  'e2e/mutation',
  'extensions',
  'hostile/addresses',
  'fuzz',
  'e2e',
  'model',
  'tenancy/kill',
  'hostile',
  'tools',
  'browser',
];

const rank = ({ path }) => {
  const found = slow.findIndex((start) => path.includes(`/test/${start}`));
  return found < 0 ? slow.length : found;
};

/** Long test files first, so that no worker ends with one while the other has nothing left to do. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).toSorted((one, other) => rank(one) - rank(other));
  }
}
